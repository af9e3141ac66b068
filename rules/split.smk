"""Records become labelled examples, which are assigned to folds, certified and under-sampled."""


checkpoint cohort:
    input:
        record_digest=get_record_digest,
        unit=get_unit_digest,
        records=ancient(
            "results/{study}/{preset}/cohorts/{cohort}/records/records.parquet"
        ),
        examples=ancient(get_unit_examples),
        quality=ancient(get_unit_quality),
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
        quality=get_quality_options,
        code=code_of("cohort.py"),
    shell:
        "python workflow/cohort.py --records {input.records:q} --examples {input.examples:q}"
        " {params.quality} --target {params.target:q} --out {output.examples:q}"
        " --out-digest {output.digest:q} --out-refused {output.refused:q} > {log:q} 2>&1"


rule flow:
    input:
        record_digest=get_record_digest,
        label_digests=get_example_digests,
        ingest=get_ingest_refusals,
        unit=get_unit_refusals,
        cohort="results/{study}/{preset}/cohorts/{cohort}/{target}/unlabelled.parquet",
        examples=ancient(
            "results/{study}/{preset}/cohorts/{cohort}/{target}/examples.parquet"
        ),
        records=ancient(
            "results/{study}/{preset}/cohorts/{cohort}/records/records.parquet"
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
        unit_kind=get_unit_kind,
        code=code_of("flow.py"),
    shell:
        "python workflow/flow.py --records {input.records:q} --examples {input.examples:q}"
        " --rejected {input.ingest:q} {input.unit:q} {input.cohort:q}"
        " --unit-kind {params.unit_kind}"
        " --target {params.target:q} --out-rejected {output.rejected:q}"
        " --out-flow {output.flow:q} > {log:q} 2>&1"


rule find_duplicates:
    input:
        content_digests=get_content_digests,
        digest="results/{study}/{preset}/cohorts/{cohort}/window/examples.hash",
        fhr=ancient("results/{study}/{preset}/cohorts/{cohort}/window/fhr.npy"),
        uc=ancient("results/{study}/{preset}/cohorts/{cohort}/window/uc.npy"),
        missing=ancient("results/{study}/{preset}/cohorts/{cohort}/window/missing.npy"),
        examples=ancient(
            "results/{study}/{preset}/cohorts/{cohort}/window/examples.parquet"
        ),
    output:
        pairs="results/{study}/{preset}/cohorts/{cohort}/window/duplicates.parquet",
    log:
        "results/{study}/{preset}/logs/find_duplicates/{cohort}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/find_duplicates/{cohort}.tsv"
    wildcard_constraints:
        cohort=any_of(get_signal_cohorts()),
    priority: 10
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        code=code_of("find_duplicates.py"),
    shell:
        "python workflow/find_duplicates.py --window $(dirname {input.fhr:q})"
        " --threads {threads} --out {output.pairs:q} > {log:q} 2>&1"


rule find_image_duplicates:
    input:
        content_digests=get_content_digests,
        digest="results/{study}/{preset}/cohorts/{cohort}/{unit}/examples.hash",
        digests=get_default_image_digests,
        images=ancient(get_default_images),
        examples=ancient(
            "results/{study}/{preset}/cohorts/{cohort}/{unit}/examples.parquet"
        ),
    output:
        pairs="results/{study}/{preset}/cohorts/{cohort}/{unit}/duplicates.parquet",
    log:
        "results/{study}/{preset}/logs/find_duplicates/{cohort}/{unit}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/find_duplicates/{cohort}/{unit}.tsv"
    wildcard_constraints:
        cohort=any_of(get_image_cohorts()),
        unit="image|tile",
    priority: 10
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        code=code_of("find_duplicates.py"),
    shell:
        "python workflow/find_duplicates.py --images {input.images:q}"
        " --examples {input.examples:q}"
        " --threads {threads} --out {output.pairs:q} > {log:q} 2>&1"


# Copies between a cohort and the one that a base generator learned from.
rule find_shared_images:
    input:
        content_digests=get_content_digests,
        digest="results/{study}/{preset}/cohorts/{cohort}/{unit}/examples.hash",
        digests=get_default_image_digests,
        other_digest=lambda wildcards: (f"{unit_folder(wildcards.other)}/examples.hash"),
        other_digests=lambda wildcards: digest_files(
            image_files(wildcards.other, study.default_recipe)
        ),
        other_images=ancient(
            lambda wildcards: image_files(wildcards.other, study.default_recipe)
        ),
        other_examples=ancient(
            lambda wildcards: f"{unit_folder(wildcards.other)}/examples.parquet"
        ),
        images=ancient(get_default_images),
        examples=ancient(
            "results/{study}/{preset}/cohorts/{cohort}/{unit}/examples.parquet"
        ),
    output:
        pairs="results/{study}/{preset}/cohorts/{cohort}/{unit}/duplicates-{other}.parquet",
    log:
        "results/{study}/{preset}/logs/find_duplicates/{cohort}/{unit}-{other}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/find_duplicates/{cohort}/{unit}-{other}.tsv"
    wildcard_constraints:
        cohort=any_of(get_image_cohorts()),
        unit="image|tile",
    priority: 10
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        code=code_of("find_duplicates.py"),
    shell:
        "python workflow/find_duplicates.py --images {input.images:q}"
        " --examples {input.examples:q} --other-images {input.other_images:q}"
        " --other-examples {input.other_examples:q}"
        " --threads {threads} --out {output.pairs:q} > {log:q} 2>&1"


rule split:
    input:
        label_digests=get_example_digests,
        examples=ancient(get_examples),
        duplicates=get_duplicates,
    output:
        split="results/{study}/{preset}/splits/{split}/seed-{seed}.parquet",
    log:
        "results/{study}/{preset}/logs/split/{split}/seed-{seed}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/split/{split}/seed-{seed}.tsv"
    priority: 10
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
        "python workflow/split.py --examples {input.examples:q}"
        " --duplicates {input.duplicates:q} --options {params.options:q}"
        " --seed {wildcards.seed} --out {output.split:q} > {log:q} 2>&1"


rule sample:
    input:
        label_digests=get_example_digests,
        split="results/{study}/{preset}/splits/{split}/seed-{seed}.parquet",
    output:
        sample="results/{study}/{preset}/splits/{split}/{sampling}/seed-{seed}{left_out}.parquet",
    log:
        "results/{study}/{preset}/logs/sample/{split}/{sampling}/seed-{seed}{left_out}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/sample/{split}/{sampling}/seed-{seed}{left_out}.tsv"
    priority: 10
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        options=get_sampling,
        inner=lambda wildcards: wildcards.left_out.removeprefix("-inner-") or "0",
        code=code_of("sample.py"),
    shell:
        "python workflow/sample.py --split {input.split:q} --options {params.options:q}"
        " --inner {params.inner} --seed {wildcards.seed}"
        " --out {output.sample:q} > {log:q} 2>&1"


# Nothing that is trained waits for a certificate, but every table does: were it an input of
# trainings, a new certificate would train all again, and as an `ancient` one it hides changes of
# other inputs from Snakemake 9. It goes first instead, and a leak stops the study.
rule certify:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        record_digests=get_record_digests,
        split="results/{study}/{preset}/splits/{split}/seed-{seed}.parquet",
        samples=get_samples_of_split,
        duplicates=get_duplicates,
        shared=get_base_duplicates,
        synthetic=get_provenance,
        bases=ancient(get_bases_of_split),
        base_digests=get_base_digests_of_split,
        records=ancient(get_records),
    output:
        certificate="results/{study}/{preset}/splits/{split}/certificate-seed-{seed}.json",
    log:
        "results/{study}/{preset}/logs/certify/{split}/seed-{seed}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/certify/{split}/seed-{seed}.tsv"
    priority: 10
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        unit_kind=get_unit_kind,
        code=code_of("certify.py"),
    shell:
        "python workflow/certify.py --split {input.split:q} --samples {input.samples:q}"
        " --duplicates {input.duplicates:q} {input.shared:q} --records {input.records:q}"
        " --synthetic {input.synthetic:q} --base {input.bases:q}"
        " --unit-kind {params.unit_kind} --out {output.certificate:q} > {log:q} 2>&1"
