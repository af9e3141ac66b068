"""Masks that networks give beside classes: predicted, measured, tabulated and drawn."""


rule segment:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        weights="results/{study}/{preset}/runs/{arm}/{split}/seed-{seed}/fold-{fold}/weights.safetensors",
        options="results/{study}/{preset}/runs/{arm}/{split}/seed-{seed}/fold-{fold}/options.json",
        predictions="results/{study}/{preset}/runs/{arm}/{split}/seed-{seed}/fold-{fold}/predictions.parquet",
        digests=get_image_digests,
        images=ancient(get_images),
        mask_digest=get_mask_digest,
        truth=ancient(get_masks),
    output:
        masks="results/{study}/{preset}/runs/{arm}/{split}/seed-{seed}/fold-{fold}/masks.npy",
        table="results/{study}/{preset}/runs/{arm}/{split}/seed-{seed}/fold-{fold}/masks.parquet",
    log:
        "results/{study}/{preset}/logs/segment/{arm}/{split}/seed-{seed}/fold-{fold}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/segment/{arm}/{split}/seed-{seed}/fold-{fold}.tsv"
    wildcard_constraints:
        arm=any_of(arm for arm, _ in study.segmented),
    conda:
        "../envs/training.yaml"
    threads: study.training.threads
    resources:
        gpu=1,
        mem_mb=memory(study.training.memory_mb),
        runtime=minutes(60),
    params:
        run=get_run,
        training=keys_of(study.training, *RESULT_KEYS),
        code=code_of("segment.py"),
    shell:
        "python workflow/segment.py --run {params.run:q} --images {input.images:q}"
        " --true-masks {input.truth:q} --training {params.training:q}"
        " --masks {output.masks:q} --table {output.table:q} > {log:q} 2>&1"


rule tabulate_masks:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        tables=get_all_segmented,
        maps=get_masked_maps,
        truth=ancient(get_case_truth),
        certificates=get_segmented_certificates,
    output:
        csv=report(
            "results/{study}/{preset}/tables/segmentation.csv",
            caption="../workflow/report/segmentation.rst",
            category="Masks",
            labels={"experiment": "masks", "type": "table"},
        ),
        md="results/{study}/{preset}/tables/segmentation.md",
        tex="results/{study}/{preset}/tables/segmentation.tex",
        display="results/{study}/{preset}/tables/segmentation.json",
        svg=report(
            "results/{study}/{preset}/figures/segmentation.svg",
            caption="../workflow/report/segmentation.rst",
            category="Masks",
            labels={"experiment": "masks", "type": "figure"},
        ),
        png="results/{study}/{preset}/figures/segmentation.png",
    log:
        "results/{study}/{preset}/logs/tabulate/segmentation.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/tabulate/segmentation.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        names=get_arm_titles,
        kind=get_explained_options,
        maps=lambda wildcards: (
            f"--maps {' '.join(map(shlex.quote, get_masked_maps(wildcards)))}"
            if get_masked_maps(wildcards)
            else ""
        ),
        code=code_of("tabulate_masks.py"),
    shell:
        "python workflow/tabulate_masks.py --masks {input.tables:q} {params.maps}"
        " --true-masks {input.truth:q} --names {params.names:q} {params.kind}"
        " --certificates {input.certificates:q}"
        " --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q}"
        " --display {output.display:q}"
        " --svg {output.svg:q} --png {output.png:q} > {log:q} 2>&1"


rule draw_cases:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        tables=get_case_tables,
        masks=get_case_masks,
        maps=get_case_maps,
        images=ancient(get_case_images),
        truth=ancient(get_case_truth),
        certificates=get_certificates,
    output:
        svg=report(
            "results/{study}/{preset}/figures/cases.svg",
            caption="../workflow/report/segmentation.rst",
            category="Masks",
            labels={"experiment": "masks", "type": "cases"},
        ),
        png="results/{study}/{preset}/figures/cases.png",
        display="results/{study}/{preset}/figures/cases.json",
    log:
        "results/{study}/{preset}/logs/draw_cases.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/draw_cases.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        content=lambda wildcards: arm_content("Masks and classes", *segmented_arm()),
        maps=get_case_maps_option,
        code=code_of("draw_cases.py"),
    shell:
        "python workflow/draw_cases.py --content {params.content:q} --masks {input.tables:q}"
        " --images {input.images:q} --true-masks {input.truth:q} {params.maps}"
        " --certificates {input.certificates:q} --svg {output.svg:q} --png {output.png:q}"
        " --display {output.display:q} > {log:q} 2>&1"


rule tabulate_folds:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        runs=get_fold_scores,
        certificates=get_fold_certificates,
    output:
        csv=report(
            "results/{study}/{preset}/tables/folds.csv",
            caption="../workflow/report/segmentation.rst",
            category="Experiments",
            labels={"experiment": "folds", "type": "table"},
        ),
        md="results/{study}/{preset}/tables/folds.md",
        tex="results/{study}/{preset}/tables/folds.tex",
        display="results/{study}/{preset}/tables/folds.json",
    log:
        "results/{study}/{preset}/logs/tabulate/folds.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/tabulate/folds.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        names=get_arm_titles,
        kind=get_fold_options,
        code=code_of("tabulate_folds.py"),
    shell:
        "python workflow/tabulate_folds.py --runs {input.runs:q} --names {params.names:q}"
        " {params.kind} --certificates {input.certificates:q}"
        " --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q}"
        " --display {output.display:q} > {log:q} 2>&1"
