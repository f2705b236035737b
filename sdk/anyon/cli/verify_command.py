"""`anyon verify`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from anyon.cli.panels import Command, option
from anyon.registry import is_bundle

_EPILOG = """\b
Examples:
  anyon verify mine.anyon                     its hashes
  anyon verify mine.anyon --key public.pem    its signature too, mine.anyon.sig

A signature is made with the model-signing package:
  model_signing sign key --private_key key.pem --signature mine.anyon.sig mine.anyon"""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("bundle", type=click.Path())
@option("--key", panel="Options", type=click.Path(), help="A public key (PEM, ECDSA P-256) that must have signed it.")
@option("--signature", panel="Options", type=click.Path(), help="The signature.  [default: BUNDLE.sig]")
@option("--json", "as_json", panel="Options", is_flag=True, help="Print JSON.")
def command(bundle: str, key: str | None, signature: str | None, as_json: bool) -> None:
    """Check that a bundle is what its maker wrote: its hashes, and its signature."""
    from anyon.bundle import Bundle
    from anyon.verification import check_bundle, public_key, signature_path

    path = Path(bundle)
    if not path.exists():
        raise click.UsageError(f"{bundle}: no such file")
    if not is_bundle(path):
        raise click.UsageError(f"{bundle}: not a bundle (`anyon inspect` shows what it is)")
    if signature is not None and key is None:
        raise click.UsageError("--signature: verifying it needs the signer's public key, --key")
    opened = Bundle(path)
    detached = Path(signature) if signature is not None else signature_path(opened)
    check_bundle(opened, public_key(key), own=True, signature=detached)
    facts = {
        "bundle": str(path),
        "header": "matches its SHA-256"
        if opened.native.has_header_hash
        else "states no hash (made before there was one)",
        "data": f"matches its SHA-256 {opened.manifest['data_sha256']}",
        "signature": f"{detached} was made with {key}, of this very file" if key else "not asked for (--key)",
    }
    if as_json:
        click.echo(json.dumps(facts, indent=1))
    else:
        for name, fact in facts.items():
            click.echo(f"{name}: {fact}")
