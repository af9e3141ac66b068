"""Slides and images become examples, tiles where they are cut, prepared at one size."""


rule tile:
    input:
        content_digests=get_content_digests,
        records=ancient(
            "results/{study}/{preset}/cohorts/{cohort}/records/records.parquet"
        ),
        files=get_simulated_files,
    output:
        examples="results/{study}/{preset}/cohorts/{cohort}/{unit}/examples.parquet",
        rejected="results/{study}/{preset}/cohorts/{cohort}/{unit}/rejected.parquet",
        digest="results/{study}/{preset}/cohorts/{cohort}/{unit}/examples.hash",
    log:
        "results/{study}/{preset}/logs/tile/{cohort}/{unit}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/tile/{cohort}/{unit}.tsv"
    wildcard_constraints:
        cohort=any_of(get_image_cohorts()),
        unit="image|tile",
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
        code=code_of("tile_images.py"),
    shell:
        "python workflow/tile_images.py --records {input.records:q} --source {params.source}"
        " --options {params.options:q} --data {params.data:q} --threads {threads}"
        " --out $(dirname {output.examples:q}) > {log:q} 2>&1"


rule prepare:
    input:
        content_digests=get_content_digests,
        digest="results/{study}/{preset}/cohorts/{cohort}/{unit}/examples.hash",
        records=ancient(
            "results/{study}/{preset}/cohorts/{cohort}/records/records.parquet"
        ),
        examples=ancient(
            "results/{study}/{preset}/cohorts/{cohort}/{unit}/examples.parquet"
        ),
        files=get_simulated_files,
    output:
        pixels="results/{study}/{preset}/images/{cohort}/{unit}/{variant}.npy",
        digest="results/{study}/{preset}/images/{cohort}/{unit}/{variant}.hash",
    log:
        "results/{study}/{preset}/logs/prepare/{cohort}/{unit}/{variant}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/prepare/{cohort}/{unit}/{variant}.tsv"
    wildcard_constraints:
        cohort=any_of(set(get_image_cohorts()) - set(get_masked_cohorts())),
        unit="image|tile",
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=memory(4000),
        runtime=minutes(240),
    params:
        options=get_preparation,
        data=get_data_folder,
        code=code_of("prepare_images.py"),
    shell:
        "python workflow/prepare_images.py --records {input.records:q}"
        " --examples {input.examples:q} --data {params.data:q} --options {params.options:q}"
        " --threads {threads} --out {output.pixels:q} > {log:q} 2>&1"


use rule prepare as prepare_masked with:
    output:
        pixels="results/{study}/{preset}/images/{cohort}/{unit}/{variant}.npy",
        digest="results/{study}/{preset}/images/{cohort}/{unit}/{variant}.hash",
        masks="results/{study}/{preset}/images/{cohort}/{unit}/{variant}-mask.npy",
        mask_digest="results/{study}/{preset}/images/{cohort}/{unit}/{variant}-mask.hash",
    wildcard_constraints:
        cohort=any_of(get_masked_cohorts()),
        unit="image",


rule draw_examples:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        digests=get_default_image_digests,
        images=ancient(get_default_images),
        examples=ancient(
            "results/{study}/{preset}/cohorts/{cohort}/{target}/examples.parquet"
        ),
    output:
        svg=report(
            "results/{study}/{preset}/figures/examples-{cohort}-{target}.svg",
            caption="../workflow/report/examples.rst",
            category="Cohort",
            labels={"cohort": "{cohort}", "figure": "examples"},
        ),
        png="results/{study}/{preset}/figures/examples-{cohort}-{target}.png",
        display="results/{study}/{preset}/figures/examples-{cohort}-{target}.json",
    log:
        "results/{study}/{preset}/logs/draw_examples/{cohort}-{target}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/draw_examples/{cohort}-{target}.tsv"
    wildcard_constraints:
        cohort=any_of(get_image_cohorts()),
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        simulated=lambda wildcards: (
            "--simulated" if study.cohorts[wildcards.cohort].is_simulated else ""
        ),
        classes=get_class_option,
        unit_kind=get_unit_kind,
        code=code_of("draw_examples.py"),
    shell:
        "python workflow/draw_examples.py {params.simulated} --images {input.images:q}"
        " --title 'Cohort {wildcards.cohort}, target {wildcards.target}'"
        " --examples {input.examples:q} {params.classes} --unit-kind {params.unit_kind}"
        " --seed 0 --svg {output.svg:q} --png {output.png:q} --display {output.display:q}"
        " > {log:q} 2>&1"


rule measure_pixels:
    input:
        content_digests=get_content_digests,
        digests=get_default_image_digests,
        images=ancient(get_default_images),
    output:
        pixels="results/{study}/{preset}/cohorts/{cohort}/{unit}/pixels.parquet",
    log:
        "results/{study}/{preset}/logs/measure_pixels/{cohort}/{unit}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/measure_pixels/{cohort}/{unit}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        code=code_of("measure_pixels.py"),
    shell:
        "python workflow/measure_pixels.py --images {input.images:q} --out {output.pixels:q}"
        " > {log:q} 2>&1"
