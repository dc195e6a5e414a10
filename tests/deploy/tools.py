"""Run by the Python of an environment of its own: holds what `deploy/` has against Helm, Kubernetes and compose.

`chart FOLDER VALUES` prints `{"lint": …, "objects": […], "faults": […]}`; `compose FILE` prints `{"services": […]}`.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

KUBERNETES = "1.31"
"""Whose schemas are asked, strictly: a field that they do not know is a fault."""
_FOREIGN = ("keda.sh",)
"""Groups whose schemas are not Kubernetes' own."""


def chart(folder: str, values: dict[str, Any]) -> dict[str, Any]:
    """Lint and render as Helm does, and validate each object."""
    import helm_python  # type: ignore[import-not-found]  # in that environment only
    import kubernetes_validate  # type: ignore[import-not-found]  # in that environment only
    import yaml

    lint = helm_python.lint(folder, values, strict=True)
    objects, faults = [], []
    with helm_python.Chart.load(folder) as loaded:
        for path, text in loaded.render(values, name="house", namespace="pki").items():
            made = yaml.safe_load_all(text) if path.endswith(".yaml") else ()
            objects += [each for each in made if each is not None]
    for each in objects:
        if not each["apiVersion"].startswith(_FOREIGN):
            try:
                kubernetes_validate.validate(each, KUBERNETES, strict=True)
            except kubernetes_validate.ValidationError as error:
                faults.append(f"{each['kind']} {each['metadata']['name']}: {error}")
    return {"lint": lint, "objects": objects, "faults": faults}


def compose(path: str) -> dict[str, Any]:
    """Read it by the compose specification, with the defaults in place of its variables."""
    import compose_spec  # type: ignore[import-not-found]  # in that environment only
    import yaml

    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", Path(path).read_text())
    document = yaml.safe_load(text)  # with what `<<` brings in its place, which the reader leaves to others
    compose_spec.models.ComposeSpecification.model_validate(document)
    read = compose_spec.PyCompose.from_yaml(yaml.safe_dump(document))
    for what in ("", "_networks", "_volumes", "_secrets", "_configs"):
        getattr(read, f"validate{what}")()
    return {"services": document["services"]}


if __name__ == "__main__":
    if sys.argv[1] == "chart":
        print(json.dumps(chart(sys.argv[2], json.loads(sys.argv[3]))))
    else:
        print(json.dumps(compose(sys.argv[2])))
