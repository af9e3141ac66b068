"""One run: an arm under a split, for one seed and fold; networks on a GPU, the rest on a CPU."""


rule train:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        split="results/{study}/{preset}/splits/{split}/seed-{seed}.parquet",
        sample=get_sample,
        digests=get_image_digests,
        images=ancient(get_images),
        synthetic=get_synthetic,
        mask_digest=get_mask_digest,
        masks=ancient(get_masks),
    output:
        weights="results/{study}/{preset}/runs/{arm}/{split}/seed-{seed}/fold-{fold}/weights.safetensors",
        history="results/{study}/{preset}/runs/{arm}/{split}/seed-{seed}/fold-{fold}/history.csv",
        predictions="results/{study}/{preset}/runs/{arm}/{split}/seed-{seed}/fold-{fold}/predictions.parquet",
        options="results/{study}/{preset}/runs/{arm}/{split}/seed-{seed}/fold-{fold}/options.json",
    log:
        "results/{study}/{preset}/logs/train/{arm}/{split}/seed-{seed}/fold-{fold}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/train/{arm}/{split}/seed-{seed}/fold-{fold}.tsv"
    wildcard_constraints:
        arm=any_of(set(study.arms) - set(get_classical_arms())),
    conda:
        "../envs/training.yaml"
    threads: study.training.threads
    resources:
        gpu=1,
        mem_mb=memory(study.training.memory_mb),
        runtime=minutes(study.training.runtime_minutes),
        # As resources, since a changed resource reruns nothing.
        checkpoint_seconds=round(60 * study.training.checkpoint_minutes),
        ignore_code_change=int(study.training.ignore_code_change),
    params:
        recipe=get_recipe,
        pretrained=get_weights_digest,
        training=keys_of(study.training, *RESULT_KEYS),
        minutes=study.signal.minutes,
        state=get_state,
        fold=get_fold,
        synthetic=get_synthetic_options,
        masks=get_mask_option,
        code=code_of("train.py"),
    shell:
        "python workflow/train.py --recipe {params.recipe:q} --training {params.training:q}"
        " --split {input.split:q} --sample {input.sample:q} --images {input.images:q}"
        " --window-minutes {params.minutes} {params.synthetic} {params.masks}"
        " --seed {wildcards.seed} --fold {params.fold}"
        " --state {params.state:q}"
        " --code {params.code} --checkpoint-seconds {resources.checkpoint_seconds}"
        " --ignore-code-change {resources.ignore_code_change} --weights {output.weights:q} --history {output.history:q}"
        " --predictions {output.predictions:q} --options {output.options:q} > {log:q} 2>&1"


rule fit:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        split="results/{study}/{preset}/splits/{split}/seed-{seed}.parquet",
        sample=get_sample,
        features=get_features,
    output:
        weights="results/{study}/{preset}/runs/{arm}/{split}/seed-{seed}/fold-{fold}/weights.safetensors",
        history="results/{study}/{preset}/runs/{arm}/{split}/seed-{seed}/fold-{fold}/history.csv",
        predictions="results/{study}/{preset}/runs/{arm}/{split}/seed-{seed}/fold-{fold}/predictions.parquet",
        options="results/{study}/{preset}/runs/{arm}/{split}/seed-{seed}/fold-{fold}/options.json",
    log:
        "results/{study}/{preset}/logs/fit/{arm}/{split}/seed-{seed}/fold-{fold}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/fit/{arm}/{split}/seed-{seed}/fold-{fold}.tsv"
    wildcard_constraints:
        arm=any_of(get_classical_arms()),
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        recipe=get_recipe,
        fold=get_fold,
        code=code_of("fit.py"),
    shell:
        "python workflow/fit.py --recipe {params.recipe:q} --split {input.split:q}"
        " --sample {input.sample:q} --features {input.features:q} --seed {wildcards.seed}"
        " --fold {params.fold} --weights {output.weights:q} --history {output.history:q}"
        " --predictions {output.predictions:q} --options {output.options:q} > {log:q} 2>&1"
