"""Scores become the tables and figures of the experiments."""


rule tabulate:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        scores=get_experiment_scores,
        runs=get_experiment_runs,
        units=get_experiment_units,
        shortcuts=get_experiment_shortcuts,
        shortcut_runs=get_experiment_shortcut_runs,
        shortcut_units=get_experiment_shortcut_units,
        certificates=get_certificates,
    output:
        csv=report(
            "results/{study}/{preset}/tables/{experiment}.csv",
            caption="../workflow/report/table.rst",
            category="Experiments",
            labels={"experiment": "{experiment}", "type": "table"},
        ),
        md="results/{study}/{preset}/tables/{experiment}.md",
        tex="results/{study}/{preset}/tables/{experiment}.tex",
        display="results/{study}/{preset}/tables/{experiment}.json",
        measures="results/{study}/{preset}/tables/{experiment}-measures.csv",
        selection="results/{study}/{preset}/tables/{experiment}-selection.csv",
        svg=report(
            "results/{study}/{preset}/figures/{experiment}.svg",
            caption="../workflow/report/figure.rst",
            category="Experiments",
            labels={"experiment": "{experiment}", "type": "figure"},
        ),
        png="results/{study}/{preset}/figures/{experiment}.png",
    log:
        "results/{study}/{preset}/logs/tabulate/{experiment}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/tabulate/{experiment}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        experiment=get_experiment,
        published=get_paper_digest(),
        code=code_of("tabulate_experiment.py"),
    shell:
        "python workflow/tabulate_experiment.py --experiment {params.experiment:q}"
        " --scores {input.scores:q} --runs {input.runs:q} --units {input.units:q}"
        " --shortcuts {input.shortcuts:q} --shortcut-runs {input.shortcut_runs:q}"
        " --shortcut-units {input.shortcut_units:q} --certificates {input.certificates:q}"
        " --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q}"
        " --display {output.display:q}"
        " --measures {output.measures:q} --selection {output.selection:q}"
        " --svg {output.svg:q} --png {output.png:q} > {log:q} 2>&1"


rule tabulate_labels:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        splits=get_default_splits,
        samples=get_default_samples,
    output:
        csv=report(
            "results/{study}/{preset}/tables/labels.csv",
            caption="../workflow/report/labels.rst",
            category="Cohort",
            labels={"experiment": "label counts", "type": "table"},
        ),
        md="results/{study}/{preset}/tables/labels.md",
        tex="results/{study}/{preset}/tables/labels.tex",
        display="results/{study}/{preset}/tables/labels.json",
        svg="results/{study}/{preset}/figures/labels.svg",
        png="results/{study}/{preset}/figures/labels.png",
    log:
        "results/{study}/{preset}/logs/tabulate/labels.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/tabulate/labels.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        title=get_labels_title,
        classes=get_default_class_option,
        kind=get_labels_options,
        code=code_of("tabulate_labels.py"),
    shell:
        "python workflow/tabulate_labels.py --title {params.title:q} {params.kind}"
        " {params.classes}"
        " --splits {input.splits:q} --samples {input.samples:q}"
        " --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q}"
        " --display {output.display:q}"
        " --svg {output.svg:q} --png {output.png:q} > {log:q} 2>&1"


rule tabulate_performance:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        scores=default_score(".csv"),
        curves=default_score("-curves.csv"),
        units=default_score("-units.parquet"),
        shortcuts=get_default_shortcuts,
        shortcut_units=get_default_shortcut_units,
        certificates=get_certificates,
    output:
        csv=report(
            "results/{study}/{preset}/tables/performance.csv",
            caption="../workflow/report/performance.rst",
            category="Performance",
            labels={"experiment": "performance", "type": "table"},
        ),
        md="results/{study}/{preset}/tables/performance.md",
        tex="results/{study}/{preset}/tables/performance.tex",
        display="results/{study}/{preset}/tables/performance.json",
        svg=report(
            "results/{study}/{preset}/figures/performance.svg",
            caption="../workflow/report/performance.rst",
            category="Performance",
            labels={"experiment": "performance", "type": "figure"},
        ),
        png="results/{study}/{preset}/figures/performance.png",
    log:
        "results/{study}/{preset}/logs/tabulate/performance.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/tabulate/performance.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        content=default_content("Performance of the study's default arm"),
        shortcuts=lambda wildcards, input: (
            f"--shortcuts {input.shortcuts[0]} --shortcut-units {input.shortcut_units[0]}"
            if input.shortcuts
            else ""
        ),
        code=code_of("tabulate_performance.py"),
    shell:
        "python workflow/tabulate_performance.py --content {params.content:q}"
        " --scores {input.scores:q} --curves {input.curves:q} --units {input.units:q}"
        " {params.shortcuts} --certificates {input.certificates:q} --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q}"
        " --display {output.display:q}"
        " --svg {output.svg:q} --png {output.png:q} > {log:q} 2>&1"


rule tabulate_shortcuts:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        scores=get_compared_scores,
        shortcuts=get_compared_shortcuts,
        certificates=get_compared_certificates,
    output:
        csv=report(
            "results/{study}/{preset}/tables/shortcuts.csv",
            caption="../workflow/report/shortcuts.rst",
            category="Performance",
            labels={"experiment": "shortcuts", "type": "table"},
        ),
        md="results/{study}/{preset}/tables/shortcuts.md",
        tex="results/{study}/{preset}/tables/shortcuts.tex",
        display="results/{study}/{preset}/tables/shortcuts.json",
        svg=report(
            "results/{study}/{preset}/figures/shortcuts.svg",
            caption="../workflow/report/shortcuts.rst",
            category="Performance",
            labels={"experiment": "shortcuts", "type": "figure"},
        ),
        png="results/{study}/{preset}/figures/shortcuts.png",
    log:
        "results/{study}/{preset}/logs/tabulate/shortcuts.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/tabulate/shortcuts.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        content=get_shortcuts_content,
        code=code_of("tabulate_shortcuts.py"),
    shell:
        "python workflow/tabulate_shortcuts.py --content {params.content:q}"
        " --scores {input.scores:q} --shortcuts {input.shortcuts:q}"
        " --certificates {input.certificates:q}"
        " --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q}"
        " --display {output.display:q}"
        " --svg {output.svg:q} --png {output.png:q} > {log:q} 2>&1"


rule draw_flow:
    input:
        record_digest=get_record_digest,
        label_digests=get_example_digests,
        rejected="results/{study}/{preset}/cohorts/{cohort}/{target}/rejected.parquet",
        records=ancient(
            "results/{study}/{preset}/cohorts/{cohort}/records/records.parquet"
        ),
        examples=ancient(
            "results/{study}/{preset}/cohorts/{cohort}/{target}/examples.parquet"
        ),
        split=get_flow_split,
        sample=get_flow_sample,
    output:
        csv=report(
            "results/{study}/{preset}/tables/flow-{cohort}-{target}.csv",
            caption="../workflow/report/flow.rst",
            category="Cohort",
            labels={"cohort": "{cohort}", "target": "{target}", "type": "table"},
        ),
        md="results/{study}/{preset}/tables/flow-{cohort}-{target}.md",
        tex="results/{study}/{preset}/tables/flow-{cohort}-{target}.tex",
        display="results/{study}/{preset}/tables/flow-{cohort}-{target}.json",
        svg=report(
            "results/{study}/{preset}/figures/flow-{cohort}-{target}.svg",
            caption="../workflow/report/flow.rst",
            category="Cohort",
            labels={"cohort": "{cohort}", "target": "{target}", "type": "figure"},
        ),
        png="results/{study}/{preset}/figures/flow-{cohort}-{target}.png",
    log:
        "results/{study}/{preset}/logs/draw_flow/{cohort}/{target}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/draw_flow/{cohort}/{target}.tsv"
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
        unit_kind=get_unit_kind,
        classes=get_class_option,
        code=code_of("draw_flow.py"),
    shell:
        "python workflow/draw_flow.py --records {input.records:q} --examples {input.examples:q}"
        " --title 'Cohort {wildcards.cohort}, target {wildcards.target}' {params.simulated}"
        " --rejected {input.rejected:q} --split {input.split:q} --sample {input.sample:q}"
        " --unit-kind {params.unit_kind} {params.classes}"
        " --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q}"
        " --display {output.display:q}"
        " --svg {output.svg:q} --png {output.png:q} > {log:q} 2>&1"


rule draw_errors:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        predictions=get_default_predictions,
        scores=default_score(".csv"),
        digests=digest_files(default_arm_images()),
        images=ancient(default_arm_images()),
        certificates=get_certificates,
    output:
        svg=report(
            "results/{study}/{preset}/figures/errors.svg",
            caption="../workflow/report/errors.rst",
            category="Performance",
            labels={"experiment": "errors", "type": "figure"},
        ),
        png="results/{study}/{preset}/figures/errors.png",
        display="results/{study}/{preset}/figures/errors.json",
    log:
        "results/{study}/{preset}/logs/draw_errors.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/draw_errors.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        content=default_content("Errors of the study's default arm"),
        runs=get_default_run_names,
        code=code_of("draw_errors.py"),
    shell:
        "python workflow/draw_errors.py --content {params.content:q}"
        " --predictions {input.predictions:q} --runs {params.runs} --scores {input.scores:q}"
        " --images {input.images:q} --certificates {input.certificates:q}"
        " --svg {output.svg:q} --png {output.png:q} --display {output.display:q} > {log:q} 2>&1"


rule draw_learning:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        histories=get_learning_files,
        options=get_learning_options,
        certificates=get_learning_certificates,
    output:
        svg=report(
            "results/{study}/{preset}/figures/learning.svg",
            caption="../workflow/report/learning.rst",
            category="Performance",
            labels={"experiment": "learning curves", "type": "figure"},
        ),
        png="results/{study}/{preset}/figures/learning.png",
        display="results/{study}/{preset}/figures/learning.json",
    log:
        "results/{study}/{preset}/logs/draw_learning.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/draw_learning.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        experiment=get_learning_content,
        folders=get_learning_folders,
        runs=get_default_run_names,
        code=code_of("draw_learning.py"),
    shell:
        "python workflow/draw_learning.py --experiment {params.experiment:q}"
        " --arms {params.folders:q} --runs {params.runs}"
        " --certificates {input.certificates:q} --svg {output.svg:q} --png {output.png:q}"
        " --display {output.display:q} > {log:q} 2>&1"


rule tabulate_reproduction:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        study="results/{study}/{preset}/study.json",
        tables=expand(
            "results/{{study}}/{{preset}}/tables/{experiment}.csv",
            experiment=study.experiments,
        ),
        flow=get_default_flow,
        labels="results/{study}/{preset}/tables/labels.csv",
        runs=get_all_run_scores,
        options=ancient(get_first_run_options),
    output:
        csv=report(
            "results/{study}/{preset}/tables/reproduction.csv",
            caption="../workflow/report/reproduction.rst",
            category="Evidence",
            labels={"experiment": "reproduction", "type": "table"},
        ),
        md="results/{study}/{preset}/tables/reproduction.md",
        tex="results/{study}/{preset}/tables/reproduction.tex",
        display="results/{study}/{preset}/tables/reproduction.json",
    log:
        "results/{study}/{preset}/logs/tabulate/reproduction.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/tabulate/reproduction.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        paper=study.paper,
        content=get_paper_digest(),
        code=code_of("tabulate_reproduction.py"),
    shell:
        "python workflow/tabulate_reproduction.py --paper {params.paper:q} --study {input.study:q}"
        " --tables {input.tables:q} --flow {input.flow:q} --labels {input.labels:q}"
        " --runs {input.runs:q} --run-options {input.options:q}"
        " --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q}"
        " --display {output.display:q} > {log:q} 2>&1"


rule tabulate_checklist:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        record_digests=get_record_digests,
        study="results/{study}/{preset}/study.json",
        arms="results/{study}/{preset}/arms.csv",
        flow=get_default_account,
        flow_figure=get_default_flow_figure,
        records=ancient(get_records),
        certificates=get_certificates,
        scores=default_score(".csv"),
        tables=get_experiment_tables(),
        options=ancient(get_default_run_options),
    output:
        csv=report(
            "results/{study}/{preset}/tables/{checklist}.csv",
            caption="../workflow/report/checklist.rst",
            category="Evidence",
            labels={"experiment": "{checklist}", "type": "table"},
        ),
        md="results/{study}/{preset}/tables/{checklist}.md",
        tex="results/{study}/{preset}/tables/{checklist}.tex",
        display="results/{study}/{preset}/tables/{checklist}.json",
    log:
        "results/{study}/{preset}/logs/tabulate/{checklist}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/tabulate/{checklist}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        checklist=get_checklist,
        content=get_checklist_digest,
        code=code_of("tabulate_checklists.py"),
    shell:
        "python workflow/tabulate_checklists.py --checklist {params.checklist:q}"
        " --study {input.study:q} --arms {input.arms:q} --flow {input.flow:q}"
        " --flow-figure {input.flow_figure:q} --records {input.records:q}"
        " --certificates {input.certificates:q} --scores {input.scores:q}"
        " --tables {input.tables:q} --run-options {input.options:q}"
        " --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q}"
        " --display {output.display:q} > {log:q} 2>&1"
