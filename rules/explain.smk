"""Explanation maps of the runs, their checks, the page on which they are read, and pictures."""


rule explain:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        split="results/{study}/{preset}/splits/{split}/seed-{seed}.parquet",
        weights="results/{study}/{preset}/runs/{arm}/{split}/seed-{seed}/fold-{fold}/weights.safetensors",
        options="results/{study}/{preset}/runs/{arm}/{split}/seed-{seed}/fold-{fold}/options.json",
        predictions="results/{study}/{preset}/runs/{arm}/{split}/seed-{seed}/fold-{fold}/predictions.parquet",
        digests=get_image_digests,
        images=ancient(get_images),
    output:
        cases="results/{study}/{preset}/maps/{arm}/{split}/seed-{seed}/fold-{fold}/cases.parquet",
        pictures="results/{study}/{preset}/maps/{arm}/{split}/seed-{seed}/fold-{fold}/pictures.npy",
        differences="results/{study}/{preset}/maps/{arm}/{split}/seed-{seed}/fold-{fold}/differences.npy",
        grids="results/{study}/{preset}/maps/{arm}/{split}/seed-{seed}/fold-{fold}/grids.json",
        faithfulness="results/{study}/{preset}/maps/{arm}/{split}/seed-{seed}/fold-{fold}/faithfulness.csv",
        curves="results/{study}/{preset}/maps/{arm}/{split}/seed-{seed}/fold-{fold}/curves.csv",
    log:
        "results/{study}/{preset}/logs/explain/{arm}/{split}/seed-{seed}/fold-{fold}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/explain/{arm}/{split}/seed-{seed}/fold-{fold}.tsv"
    conda:
        "../envs/training.yaml"
    threads: study.training.threads
    resources:
        gpu=1,
        mem_mb=memory(study.training.memory_mb),
        runtime=minutes(study.training.runtime_minutes),
    params:
        run=get_run,
        # Which arms are explained changes no map.
        options=as_json(dataclasses.replace(study.explain, experiments=())),
        about=get_map_facts,
        classes=get_split_class_option,
        span=get_span_option,
        training=keys_of(study.training, *RESULT_KEYS),
        code=code_of("explain_cases.py"),
    shell:
        "python workflow/explain_cases.py --run {params.run:q} --split {input.split:q}"
        " --images {input.images:q} --options {params.options:q} --about {params.about:q}"
        " {params.classes} {params.span} --training {params.training:q}"
        " --out $(dirname {output.grids:q}) > {log:q} 2>&1"


rule view:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        maps=get_view_maps,
    output:
        page="results/{study}/{preset}/maps/{arm}/{split}/view.html",
    log:
        "results/{study}/{preset}/logs/view/{arm}/{split}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/view/{arm}/{split}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        title=get_view_title,
        sources=get_view_digest(),
        folders=lambda wildcards: folders_of(get_view_maps(wildcards)),
        code=code_of("make_view.py"),
    shell:
        "python workflow/make_view.py --maps {params.folders:q} --title {params.title:q}"
        " --out {output.page:q} > {log:q} 2>&1"


rule tabulate_maps:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        maps=get_all_checked_maps,
        # Shared cases are no part of the checks.
        grids=get_all_map_grids,
        certificates=get_all_explained_certificates,
    output:
        csv=report(
            "results/{study}/{preset}/tables/explanations.csv",
            caption="../workflow/report/explanations.rst",
            category="Explanations",
            labels={"experiment": "explanation maps", "type": "table"},
        ),
        md="results/{study}/{preset}/tables/explanations.md",
        tex="results/{study}/{preset}/tables/explanations.tex",
        display="results/{study}/{preset}/tables/explanations.json",
        svg=report(
            "results/{study}/{preset}/figures/explanations.svg",
            caption="../workflow/report/explanations.rst",
            category="Explanations",
            labels={"experiment": "explanation maps", "type": "figure"},
        ),
        png="results/{study}/{preset}/figures/explanations.png",
    log:
        "results/{study}/{preset}/logs/tabulate/explanations.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/tabulate/explanations.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        names=get_arm_titles,
        kind=get_explained_options,
        code=code_of("tabulate_maps.py"),
    shell:
        "python workflow/tabulate_maps.py --maps {input.maps:q} --names {params.names:q}"
        " {params.kind} --certificates {input.certificates:q}"
        " --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q}"
        " --display {output.display:q}"
        " --svg {output.svg:q} --png {output.png:q} > {log:q} 2>&1"


rule draw_maps:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        maps=get_sheet_maps,
        certificates=get_certificates,
    output:
        svg=report(
            "results/{study}/{preset}/figures/maps.svg",
            caption="../workflow/report/explanations.rst",
            category="Explanations",
            labels={"experiment": "explanation maps", "type": "cases"},
        ),
        png="results/{study}/{preset}/figures/maps.png",
        display="results/{study}/{preset}/figures/maps.json",
    log:
        "results/{study}/{preset}/logs/draw_maps.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/draw_maps.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        content=default_content("What speaks for and against: surest and most divided"),
        folders=lambda wildcards: folders_of(get_sheet_maps(wildcards)),
        code=code_of("draw_maps.py"),
    shell:
        "python workflow/draw_maps.py --content {params.content:q} --maps {params.folders:q}"
        " --certificates {input.certificates:q} --svg {output.svg:q} --png {output.png:q}"
        " --display {output.display:q} > {log:q} 2>&1"
