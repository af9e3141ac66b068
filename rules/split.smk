"""Records become labelled examples, examples are assigned to folds, and folds are under-sampled."""


checkpoint cohort:
    input:
        record_digest=get_record_digest,
        window="results/{study}/{preset}/cohorts/{cohort}/window/examples.hash",
        records=ancient(
            "results/{study}/{preset}/cohorts/{cohort}/recordings/records.parquet"
        ),
        examples=ancient(
            "results/{study}/{preset}/cohorts/{cohort}/window/examples.parquet"
        ),
        quality=ancient(
            "results/{study}/{preset}/cohorts/{cohort}/window/quality.parquet"
        ),
    output:
        examples="results/{study}/{preset}/cohorts/{cohort}/{target}/examples.parquet",
        digest="results/{study}/{preset}/cohorts/{cohort}/{target}/examples.hash",
        refused="results/{study}/{preset}/cohorts/{cohort}/{target}/unlabelled.parquet",
    log:
        "results/{study}/{preset}/logs/cohort/{cohort}/{target}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/cohort/{cohort}/{target}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        target=get_target,
        max_missing=study.signal.max_missing,
        code=code_of("cohort.py"),
    shell:
        "python workflow/cohort.py --records {input.records:q} --examples {input.examples:q}"
        " --quality {input.quality:q} --target {params.target:q}"
        " --max-missing {params.max_missing} --out {output.examples:q}"
        " --out-digest {output.digest:q} --out-refused {output.refused:q} > {log:q} 2>&1"


rule flow:
    input:
        record_digest=get_record_digest,
        label_digests=get_example_digests,
        ingest=get_ingest_refusals,
        signal="results/{study}/{preset}/cohorts/{cohort}/window/rejected.parquet",
        cohort="results/{study}/{preset}/cohorts/{cohort}/{target}/unlabelled.parquet",
        examples=ancient(
            "results/{study}/{preset}/cohorts/{cohort}/{target}/examples.parquet"
        ),
        records=ancient(
            "results/{study}/{preset}/cohorts/{cohort}/recordings/records.parquet"
        ),
    output:
        rejected="results/{study}/{preset}/cohorts/{cohort}/{target}/rejected.parquet",
        flow=report(
            "results/{study}/{preset}/cohorts/{cohort}/{target}/flow.csv",
            caption="../workflow/report/flow.rst",
            category="Cohort",
            labels={"cohort": "{cohort}", "target": "{target}"},
        ),
    log:
        "results/{study}/{preset}/logs/flow/{cohort}/{target}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/flow/{cohort}/{target}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        target=get_target,
        code=code_of("flow.py"),
    shell:
        "python workflow/flow.py --records {input.records:q} --examples {input.examples:q}"
        " --rejected {input.ingest:q} {input.signal:q} {input.cohort:q}"
        " --target {params.target:q} --out-rejected {output.rejected:q}"
        " --out-flow {output.flow:q} > {log:q} 2>&1"


rule split:
    input:
        label_digests=get_example_digests,
        examples=ancient(get_examples),
    output:
        split="results/{study}/{preset}/splits/{split}/seed-{seed}.parquet",
    log:
        "results/{study}/{preset}/logs/split/{split}/seed-{seed}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/split/{split}/seed-{seed}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        options=get_split_options,
        code=code_of("split.py"),
    shell:
        "python workflow/split.py --examples {input.examples:q} --options {params.options:q}"
        " --seed {wildcards.seed} --out {output.split:q} > {log:q} 2>&1"


rule sample:
    input:
        label_digests=get_example_digests,
        split="results/{study}/{preset}/splits/{split}/seed-{seed}.parquet",
    output:
        sample="results/{study}/{preset}/splits/{split}/{sampling}/seed-{seed}.parquet",
    log:
        "results/{study}/{preset}/logs/sample/{split}/{sampling}/seed-{seed}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/sample/{split}/{sampling}/seed-{seed}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        options=get_sampling,
        code=code_of("sample.py"),
    shell:
        "python workflow/sample.py --split {input.split:q} --options {params.options:q}"
        " --seed {wildcards.seed} --out {output.sample:q} > {log:q} 2>&1"
