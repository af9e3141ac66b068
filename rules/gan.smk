"""Generators: trained per fold or on a whole cohort, drawn from, measured and pictured."""


rule train_base_gan:
    input:
        label_digests=get_base_label_digests,
        content_digests=get_base_content_digests,
        examples=ancient(get_base_examples),
        digests=get_gan_image_digests,
        images=ancient(get_gan_images),
        base=get_base_networks,
    output:
        weights=f"{BASE}/weights.safetensors",
        networks=f"{BASE}/networks.safetensors",
        history=f"{BASE}/history.csv",
        samples=f"{BASE}/samples.npy",
        samples_info=f"{BASE}/samples.json",
        learned=f"{BASE}/learned.parquet",
        options=f"{BASE}/options.json",
    log:
        "results/{study}/{preset}/logs/train_gan/{gan}/base.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/train_gan/{gan}/base.tsv"
    conda:
        "../envs/training.yaml"
    threads: study.training.threads
    resources:
        gpu=1,
        mem_mb=memory(study.training.memory_mb),
        runtime=minutes(study.training.gan_runtime_minutes),
        checkpoint_seconds=round(60 * study.training.checkpoint_minutes),
        ignore_code_change=int(study.training.ignore_code_change),
    params:
        recipe=get_gan_recipe,
        classes=get_gan_classes,
        quality=as_json(study.gan_quality),
        training=keys_of(study.training, *RESULT_KEYS),
        base=get_base_option,
        state=get_gan_state,
        code=code_of("train_gan.py"),
    shell:
        "python workflow/train_gan.py --gan {wildcards.gan} --recipe {params.recipe:q}"
        " --classes {params.classes:q} --images {input.images:q}"
        " --examples {input.examples:q} {params.base} --quality {params.quality:q}"
        " --training {params.training:q} --state {params.state:q} --code {params.code}"
        " --checkpoint-seconds {resources.checkpoint_seconds}"
        " --ignore-code-change {resources.ignore_code_change}"
        " --out $(dirname {output.weights:q}) > {log:q} 2>&1"


rule train_gan:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        split=get_gan_split,
        digests=get_gan_image_digests,
        images=ancient(get_gan_images),
        base=get_base_networks,
        judge=get_judge,
    output:
        weights=f"{FOLD}/weights.safetensors",
        networks=f"{FOLD}/networks.safetensors",
        history=f"{FOLD}/history.csv",
        samples=f"{FOLD}/samples.npy",
        samples_info=f"{FOLD}/samples.json",
        learned=f"{FOLD}/learned.parquet",
        options=f"{FOLD}/options.json",
    log:
        "results/{study}/{preset}/logs/train_gan/{gan}/{split}/seed-{seed}/fold-{fold}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/train_gan/{gan}/{split}/seed-{seed}/fold-{fold}.tsv"
    wildcard_constraints:
        gan=any_of(get_fold_gans()),
    # All that trains on its images waits for it.
    priority: 5
    conda:
        "../envs/training.yaml"
    threads: study.training.threads
    resources:
        gpu=1,
        mem_mb=memory(study.training.memory_mb),
        runtime=minutes(study.training.gan_runtime_minutes),
        checkpoint_seconds=round(60 * study.training.checkpoint_minutes),
        ignore_code_change=int(study.training.ignore_code_change),
    params:
        recipe=get_gan_recipe,
        classes=get_gan_classes,
        quality=as_json(study.gan_quality),
        training=keys_of(study.training, *RESULT_KEYS),
        base=get_base_option,
        judge=get_judge_option,
        state=get_gan_state,
        code=code_of("train_gan.py"),
    shell:
        "python workflow/train_gan.py --gan {wildcards.gan} --recipe {params.recipe:q}"
        " --classes {params.classes:q} --images {input.images:q} --split {input.split:q}"
        " --key {wildcards.seed} {wildcards.fold} {params.base} {params.judge}"
        " --quality {params.quality:q} --training {params.training:q}"
        " --state {params.state:q} --code {params.code}"
        " --checkpoint-seconds {resources.checkpoint_seconds}"
        " --ignore-code-change {resources.ignore_code_change}"
        " --out $(dirname {output.weights:q}) > {log:q} 2>&1"


rule synthesise:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        weights=f"{FOLD}/weights.safetensors",
        learned=f"{FOLD}/learned.parquet",
        split=get_gan_split,
        samples=get_using_samples,
    output:
        images=f"{FOLD}/synthetic-{{draw}}/images.npy",
        digest=f"{FOLD}/synthetic-{{draw}}/images.hash",
        provenance=f"{FOLD}/synthetic-{{draw}}/provenance.parquet",
    log:
        "results/{study}/{preset}/logs/synthesise/{gan}/{split}/seed-{seed}/fold-{fold}-{draw}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/synthesise/{gan}/{split}/seed-{seed}/fold-{fold}-{draw}.tsv"
    priority: 5
    conda:
        "../envs/training.yaml"
    threads: study.training.threads
    resources:
        gpu=1,
        mem_mb=memory(study.training.memory_mb),
        runtime=minutes(120),
    params:
        recipes=get_using_recipes,
        gan_seed=lambda wildcards: study.gans[wildcards.gan].seed,
        training=keys_of(study.training, *RESULT_KEYS),
        code=code_of("synthesise.py"),
    shell:
        "python workflow/synthesise.py --weights {input.weights:q} --learned {input.learned:q}"
        " --recipes {params.recipes:q} --split {input.split:q} --samples {input.samples:q}"
        " --key {params.gan_seed} {wildcards.seed} {wildcards.fold} {wildcards.draw}"
        " --training {params.training:q} --out $(dirname {output.images:q}) > {log:q} 2>&1"


rule rate_synthetic:
    input:
        content_digests=get_content_digests,
        images=f"{FOLD}/synthetic-{{draw}}/images.npy",
        provenance=f"{FOLD}/synthetic-{{draw}}/provenance.parquet",
        learned=f"{FOLD}/learned.parquet",
        judge=judge_files,
        digests=get_gan_image_digests,
        real=ancient(get_gan_images),
    output:
        ratings=f"{FOLD}/synthetic-{{draw}}/ratings.parquet",
    log:
        "results/{study}/{preset}/logs/rate_synthetic/{gan}/{split}/seed-{seed}/fold-{fold}-{draw}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/rate_synthetic/{gan}/{split}/seed-{seed}/fold-{fold}-{draw}.tsv"
    conda:
        "../envs/training.yaml"
    threads: study.training.threads
    resources:
        gpu=1,
        mem_mb=memory(study.training.memory_mb),
        runtime=minutes(120),
    params:
        training=keys_of(study.training, *RESULT_KEYS),
        code=code_of("rate_synthetic.py"),
    shell:
        "python workflow/rate_synthetic.py --synthetic $(dirname {input.images:q})"
        " --learned {input.learned:q} --images {input.real:q}"
        " --classifier $(dirname {input.judge[0]:q}) --fold {wildcards.fold}"
        " --training {params.training:q} --out {output.ratings:q} > {log:q} 2>&1"


rule measure_base_gan:
    input:
        label_digests=get_base_label_digests,
        content_digests=get_base_content_digests,
        weights=f"{BASE}/weights.safetensors",
        learned=f"{BASE}/learned.parquet",
        digests=get_gan_image_digests,
        images=ancient(get_gan_images),
    output:
        quality=f"{BASE}/quality.csv",
        memorisation=f"{BASE}/memorisation.csv",
        closeness=f"{BASE}/closeness.parquet",
        pairs=f"{BASE}/pairs.parquet",
        pictures=expand(f"{BASE}/{{name}}.npy", name=PICTURES, allow_missing=True),
    log:
        "results/{study}/{preset}/logs/measure_gan/{gan}/base.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/measure_gan/{gan}/base.tsv"
    conda:
        "../envs/training.yaml"
    threads: study.training.threads
    resources:
        gpu=1,
        mem_mb=memory(study.training.memory_mb),
        runtime=minutes(240),
    params:
        quality=as_json(study.gan_quality),
        training=keys_of(study.training, *RESULT_KEYS),
        code=code_of("measure_gan.py"),
    shell:
        "python workflow/measure_gan.py --weights {input.weights:q} --learned {input.learned:q}"
        " --images {input.images:q} --quality {params.quality:q}"
        " --training {params.training:q} --out $(dirname {output.quality:q}) > {log:q} 2>&1"


rule measure_gan:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        weights=f"{FOLD}/weights.safetensors",
        learned=f"{FOLD}/learned.parquet",
        split=get_gan_split,
        digests=get_gan_image_digests,
        images=ancient(get_gan_images),
        judge=get_judge,
    output:
        quality=f"{FOLD}/quality.csv",
        memorisation=f"{FOLD}/memorisation.csv",
        closeness=f"{FOLD}/closeness.parquet",
        pairs=f"{FOLD}/pairs.parquet",
        pictures=expand(f"{FOLD}/{{name}}.npy", name=PICTURES, allow_missing=True),
    log:
        "results/{study}/{preset}/logs/measure_gan/{gan}/{split}/seed-{seed}/fold-{fold}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/measure_gan/{gan}/{split}/seed-{seed}/fold-{fold}.tsv"
    conda:
        "../envs/training.yaml"
    threads: study.training.threads
    resources:
        gpu=1,
        mem_mb=memory(study.training.memory_mb),
        runtime=minutes(240),
    params:
        quality=as_json(study.gan_quality),
        training=keys_of(study.training, *RESULT_KEYS),
        judge=get_judge_option,
        code=code_of("measure_gan.py"),
    shell:
        "python workflow/measure_gan.py --weights {input.weights:q} --learned {input.learned:q}"
        " --images {input.images:q} --split {input.split:q}"
        " --key {wildcards.seed} {wildcards.fold} --quality {params.quality:q} {params.judge}"
        " --training {params.training:q} --out $(dirname {output.quality:q}) > {log:q} 2>&1"


rule draw_base_gan:
    input:
        label_digests=get_base_label_digests,
        content_digests=get_base_content_digests,
        options=get_pictured_options,
        pictured=get_pictured,
        digests=get_gan_image_digests,
        images=ancient(get_gan_images),
    output:
        svg=report(
            "results/{study}/{preset}/figures/gans-{gan}-base.svg",
            caption="../workflow/report/gans.rst",
            category="Synthetic images",
            labels={"experiment": "{gan}-base", "type": "figure"},
        ),
        png="results/{study}/{preset}/figures/gans-{gan}-base.png",
        display="results/{study}/{preset}/figures/gans-{gan}-base.json",
    log:
        "results/{study}/{preset}/logs/draw_gan/{gan}-base.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/draw_gan/{gan}-base.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        cohorts=get_base_cohorts(),
        simulated=get_simulated_option,
        unit_kind=get_gan_unit,
        code=code_of("draw_gan.py"),
    shell:
        "python workflow/draw_gan.py --gan {input.options:q} --images {input.images:q}"
        " --cohorts {params.cohorts:q} {params.simulated} --unit-kind {params.unit_kind}"
        " --svg {output.svg:q} --png {output.png:q} --display {output.display:q}"
        " > {log:q} 2>&1"


rule draw_gan:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        options=get_pictured_options,
        pictured=get_pictured,
        digests=get_gan_image_digests,
        images=ancient(get_gan_images),
    output:
        svg=report(
            "results/{study}/{preset}/figures/gans-{gan}-{split}.svg",
            caption="../workflow/report/gans.rst",
            category="Synthetic images",
            labels={"experiment": "{gan}-{split}", "type": "figure"},
        ),
        png="results/{study}/{preset}/figures/gans-{gan}-{split}.png",
        display="results/{study}/{preset}/figures/gans-{gan}-{split}.json",
    log:
        "results/{study}/{preset}/logs/draw_gan/{gan}-{split}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/draw_gan/{gan}-{split}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        cohorts=get_base_cohorts(),
        simulated=get_simulated_option,
        unit_kind=get_gan_unit,
        code=code_of("draw_gan.py"),
    shell:
        "python workflow/draw_gan.py --gan {input.options:q} --images {input.images:q}"
        " --cohorts {params.cohorts:q} {params.simulated} --unit-kind {params.unit_kind}"
        " --svg {output.svg:q} --png {output.png:q} --display {output.display:q}"
        " > {log:q} 2>&1"


rule tabulate_gan_quality:
    input:
        options=all_gan_files("options.json"),
        measured=[
            path
            for name in ["quality.csv", "history.csv", "memorisation.csv"]
            for path in all_gan_files(name)
        ],
    output:
        csv=report(
            "results/{study}/{preset}/tables/gans-quality.csv",
            caption="../workflow/report/gans.rst",
            category="Synthetic images",
            labels={"experiment": "quality", "type": "table"},
        ),
        md="results/{study}/{preset}/tables/gans-quality.md",
        tex="results/{study}/{preset}/tables/gans-quality.tex",
        display="results/{study}/{preset}/tables/gans-quality.json",
        svg=report(
            "results/{study}/{preset}/figures/gans-quality.svg",
            caption="../workflow/report/gans.rst",
            category="Synthetic images",
            labels={"experiment": "quality", "type": "figure"},
        ),
        png="results/{study}/{preset}/figures/gans-quality.png",
    log:
        "results/{study}/{preset}/logs/tabulate/gans-quality.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/tabulate/gans-quality.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        cohorts=get_base_cohorts(),
        simulated=get_simulated_option,
        unit_kind=get_gan_unit,
        code=code_of("tabulate_gans.py"),
    shell:
        "python workflow/tabulate_gans.py --about quality --gans {input.options:q}"
        " --cohorts {params.cohorts:q} {params.simulated} --unit-kind {params.unit_kind}"
        " --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q}"
        " --display {output.display:q} --svg {output.svg:q} --png {output.png:q}"
        " > {log:q} 2>&1"


rule tabulate_gan_memorisation:
    input:
        options=all_gan_files("options.json"),
        measured=[
            path
            for name in ["memorisation.csv", "closeness.parquet"]
            for path in all_gan_files(name)
        ],
    output:
        csv=report(
            "results/{study}/{preset}/tables/gans-memorisation.csv",
            caption="../workflow/report/gans.rst",
            category="Synthetic images",
            labels={"experiment": "memorisation", "type": "table"},
        ),
        md="results/{study}/{preset}/tables/gans-memorisation.md",
        tex="results/{study}/{preset}/tables/gans-memorisation.tex",
        display="results/{study}/{preset}/tables/gans-memorisation.json",
        svg=report(
            "results/{study}/{preset}/figures/gans-memorisation.svg",
            caption="../workflow/report/gans.rst",
            category="Synthetic images",
            labels={"experiment": "memorisation", "type": "figure"},
        ),
        png="results/{study}/{preset}/figures/gans-memorisation.png",
    log:
        "results/{study}/{preset}/logs/tabulate/gans-memorisation.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/tabulate/gans-memorisation.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        cohorts=get_base_cohorts(),
        simulated=get_simulated_option,
        unit_kind=get_gan_unit,
        code=code_of("tabulate_gans.py"),
    shell:
        "python workflow/tabulate_gans.py --about memorisation --gans {input.options:q}"
        " --cohorts {params.cohorts:q} {params.simulated} --unit-kind {params.unit_kind}"
        " --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q}"
        " --display {output.display:q} --svg {output.svg:q} --png {output.png:q}"
        " > {log:q} 2>&1"
