"""Recordings become cleaned windows, and windows become pictures, one channel at a time."""


rule signal:
    input:
        content_digests=get_content_digests,
        records=ancient(
            "results/{study}/{preset}/cohorts/{cohort}/records/records.parquet"
        ),
        signals=ancient("results/{study}/{preset}/cohorts/{cohort}/records/signals.npy"),
    output:
        examples="results/{study}/{preset}/cohorts/{cohort}/window/examples.parquet",
        quality="results/{study}/{preset}/cohorts/{cohort}/window/quality.parquet",
        rejected="results/{study}/{preset}/cohorts/{cohort}/window/rejected.parquet",
        fhr="results/{study}/{preset}/cohorts/{cohort}/window/fhr.npy",
        uc="results/{study}/{preset}/cohorts/{cohort}/window/uc.npy",
        missing="results/{study}/{preset}/cohorts/{cohort}/window/missing.npy",
        digest="results/{study}/{preset}/cohorts/{cohort}/window/examples.hash",
    log:
        "results/{study}/{preset}/logs/signal/{cohort}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/signal/{cohort}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        options=keys_of(study.signal, *CLEANING_KEYS),
        code=code_of("process_signal.py"),
    shell:
        "python workflow/process_signal.py --recordings $(dirname {input.records:q})"
        " --options {params.options:q} --threads {threads}"
        " --out $(dirname {output.examples:q}) > {log:q} 2>&1"


rule render:
    input:
        content_digests=get_content_digests,
        digest="results/{study}/{preset}/cohorts/{cohort}/window/examples.hash",
        fhr=ancient("results/{study}/{preset}/cohorts/{cohort}/window/fhr.npy"),
        uc=ancient("results/{study}/{preset}/cohorts/{cohort}/window/uc.npy"),
        missing=ancient("results/{study}/{preset}/cohorts/{cohort}/window/missing.npy"),
    output:
        pixels="results/{study}/{preset}/images/{cohort}/window/{channel}.npy",
        digest="results/{study}/{preset}/images/{cohort}/window/{channel}.hash",
    log:
        "results/{study}/{preset}/logs/render/{cohort}/{channel}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/render/{cohort}/{channel}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        signal=get_render_keys,
        images=get_axis_keys,
        code=code_of("render.py"),
    shell:
        "python workflow/render.py --window $(dirname {input.fhr:q})"
        " --channel {wildcards.channel} --signal {params.signal:q} --images {params.images:q}"
        " --threads {threads} --out {output.pixels:q} > {log:q} 2>&1"


rule features:
    input:
        content_digests=get_content_digests,
        digest="results/{study}/{preset}/cohorts/{cohort}/window/examples.hash",
        examples=ancient(
            "results/{study}/{preset}/cohorts/{cohort}/window/examples.parquet"
        ),
        quality=ancient(
            "results/{study}/{preset}/cohorts/{cohort}/window/quality.parquet"
        ),
        fhr=ancient("results/{study}/{preset}/cohorts/{cohort}/window/fhr.npy"),
        uc=ancient("results/{study}/{preset}/cohorts/{cohort}/window/uc.npy"),
        missing=ancient("results/{study}/{preset}/cohorts/{cohort}/window/missing.npy"),
    output:
        features="results/{study}/{preset}/cohorts/{cohort}/window/features.parquet",
    log:
        "results/{study}/{preset}/logs/features/{cohort}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/features/{cohort}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        code=code_of("measure_features.py"),
    shell:
        "python workflow/measure_features.py --window $(dirname {input.fhr:q})"
        " --out {output.features:q} > {log:q} 2>&1"


rule illustrate:
    input:
        content_digests=get_content_digests,
        digest="results/{study}/{preset}/cohorts/{cohort}/window/examples.hash",
        records=ancient(
            "results/{study}/{preset}/cohorts/{cohort}/records/records.parquet"
        ),
        quality=ancient(
            "results/{study}/{preset}/cohorts/{cohort}/window/quality.parquet"
        ),
    output:
        svg=report(
            "results/{study}/{preset}/figures/steps-{cohort}.svg",
            caption="../workflow/report/steps.rst",
            category="Signals",
            labels={"cohort": "{cohort}", "figure": "one recording at each step"},
        ),
        png="results/{study}/{preset}/figures/steps-{cohort}.png",
    log:
        "results/{study}/{preset}/logs/illustrate/{cohort}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/illustrate/{cohort}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        signal=keys_of(study.signal, *CLEANING_KEYS, *LOWPASS_KEYS, *UC_KEYS),
        images=as_json(study.images),
        simulated=lambda wildcards: (
            "--simulated" if study.cohorts[wildcards.cohort].is_simulated else ""
        ),
        code=code_of("illustrate.py"),
    shell:
        "python workflow/illustrate.py --recordings $(dirname {input.records:q})"
        " --window $(dirname {input.quality:q}) --signal {params.signal:q}"
        " --images {params.images:q} {params.simulated}"
        " --svg {output.svg:q} --png {output.png:q} > {log:q} 2>&1"
