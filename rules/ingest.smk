"""Raw recordings and images become tables of records, with a list of refusals beside each."""


checkpoint ingest:
    output:
        records="results/{study}/{preset}/cohorts/{cohort}/records/records.parquet",
        signals="results/{study}/{preset}/cohorts/{cohort}/records/signals.npy",
        rejected="results/{study}/{preset}/cohorts/{cohort}/records/rejected.parquet",
        digest="results/{study}/{preset}/cohorts/{cohort}/records/records.hash",
        content_digest="results/{study}/{preset}/cohorts/{cohort}/records/signals.hash",
    log:
        "results/{study}/{preset}/logs/ingest/{cohort}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/ingest/{cohort}.tsv"
    wildcard_constraints:
        cohort=any_of(get_signal_cohorts()),
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(240),
    params:
        source=lambda wildcards: study.cohorts[wildcards.cohort].source,
        options=lambda wildcards: as_json(study.cohorts[wildcards.cohort].options),
        data=study.data or ".",
        inventory=lambda wildcards: get_inventory(wildcards.cohort),
        code=code_of("ingest.py"),
    shell:
        "python workflow/ingest.py --source {params.source} --options {params.options:q}"
        " --data {params.data:q} --out $(dirname {output.records:q}) > {log:q} 2>&1"


# Simulated images are files like any other, and are read as such.
rule simulate_images:
    output:
        files=directory("results/{study}/{preset}/cohorts/{cohort}/files"),
    log:
        "results/{study}/{preset}/logs/simulate_images/{cohort}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/simulate_images/{cohort}.tsv"
    wildcard_constraints:
        cohort=any_of(get_image_cohorts()),
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=memory(4000),
        runtime=minutes(240),
    params:
        source=lambda wildcards: study.cohorts[wildcards.cohort].source,
        options=lambda wildcards: as_json(study.cohorts[wildcards.cohort].options),
        code=code_of("simulate_images.py"),
    shell:
        "python workflow/simulate_images.py --source {params.source}"
        " --options {params.options:q} --threads {threads} --out {output.files:q}"
        " > {log:q} 2>&1"


checkpoint ingest_images:
    input:
        files=get_simulated_files,
    output:
        records="results/{study}/{preset}/cohorts/{cohort}/records/records.parquet",
        rejected="results/{study}/{preset}/cohorts/{cohort}/records/rejected.parquet",
        digest="results/{study}/{preset}/cohorts/{cohort}/records/records.hash",
        content_digest="results/{study}/{preset}/cohorts/{cohort}/records/images.hash",
    log:
        "results/{study}/{preset}/logs/ingest_images/{cohort}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/ingest_images/{cohort}.tsv"
    wildcard_constraints:
        cohort=any_of(get_image_cohorts()),
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=memory(4000),
        runtime=minutes(240),
    params:
        source=lambda wildcards: study.cohorts[wildcards.cohort].source,
        options=lambda wildcards: as_json(study.cohorts[wildcards.cohort].options),
        data=get_data_folder,
        inventory=lambda wildcards: get_inventory(wildcards.cohort),
        code=code_of("ingest_images.py"),
    shell:
        "python workflow/ingest_images.py --source {params.source}"
        " --options {params.options:q} --data {params.data:q} --threads {threads}"
        " --out $(dirname {output.records:q}) > {log:q} 2>&1"
