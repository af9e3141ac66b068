"""Raw recordings become one table of records, one signal store, and a list of refusals."""


checkpoint ingest:
    output:
        records="results/{study}/{preset}/cohorts/{cohort}/recordings/records.parquet",
        signals="results/{study}/{preset}/cohorts/{cohort}/recordings/signals.npy",
        rejected="results/{study}/{preset}/cohorts/{cohort}/recordings/rejected.parquet",
        digest="results/{study}/{preset}/cohorts/{cohort}/recordings/records.hash",
        signal_digest="results/{study}/{preset}/cohorts/{cohort}/recordings/signals.hash",
    log:
        "results/{study}/{preset}/logs/ingest/{cohort}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/ingest/{cohort}.tsv"
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
