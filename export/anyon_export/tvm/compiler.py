"""From a bundle's programs to machine code and the bytecode of Relax's virtual machine."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tvm
from tvm import relax, tirx

from anyon_export.tvm.program import Signature, Weight, to_relax
from anyon_export.tvm.targets import Target
from anyon_export.tvm.tile import Registers

# What the functions of linked code are registered under. TVM 0.27 stumbles over prefixes of less than 8 letters.
SYSTEM_PREFIX = "anyon_programs_"


@dataclass(frozen=True)
class Compiled:
    """code: TVM's LLVM module; bytecode: the virtual machine's executable, the same for every target."""

    code: Any
    bytecode: bytes
    signatures: dict[str, Signature]


def compile_programs(
    programs: Mapping[str, Mapping[str, Any]], weights: Mapping[str, Weight], target: Target, *, static: bool
) -> Compiled:
    """static: the code registers its functions by itself when it is linked into an app; False: for loading here.

    Raises UnsupportedProgramError.
    """
    module, signatures = to_relax(programs, weights, Registers(target.accumulators))
    if static:
        module = module.with_attr("system_lib_prefix", SYSTEM_PREFIX)
    executable = relax.build(
        module,
        target=tvm.target.Target(target.llvm),
        # Every op is a function of tensor IR already: nothing to legalise or to fuse.
        relax_pipeline=tvm.transform.Sequential(
            [
                relax.transform.ToNonDataflow(),
                relax.transform.RemovePurityChecking(),
                relax.transform.CallTIRRewrite(),
                relax.transform.StaticPlanBlockMemory(),
                relax.transform.LowerAllocTensor(),
                relax.transform.KillAfterLastUse(),
                relax.transform.LowerRuntimeBuiltin(),
                relax.transform.ComputePrimValue(),
                relax.transform.VMShapeLower(),
                relax.transform.AttachGlobalSymbol(),
                _sort_shape_functions(),
            ]
        ),
        system_lib=static,
    )
    (code,) = executable.mod.imports
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bytecode"
        executable.mod.write_to_file(str(path), "")
        bytecode = path.read_bytes()
    return Compiled(code, bytecode, signatures)


def _sort_shape_functions() -> Any:
    """VMShapeLower writes the sizes of arrays in the order of a hash table, another one in each process."""

    def sort(module: Any, _: Any) -> Any:
        for name, function in list(module.functions.items()):
            if "shape_func" in name.name_hint and isinstance(function.body, tirx.SeqStmt):
                stores = sorted(function.body.seq, key=lambda store: int(store.indices[0]))
                module.update_func(name, function.with_body(tirx.SeqStmt(stores)))
        return module

    return tvm.transform.module_pass(sort, opt_level=0)
