"""Values of an annotation that are small as text and large as work. Each must be refused."""

_DOUBLED = "\n".join(f"- &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40))
_RULE = "{devices: {id: a}}"

BOMBS = {
    "aliases": f"- &a0 [x, x]\n{_DOUBLED}",
    "endless alias": "- &a {devices: *a}",
    "aliases of a rule": f"[&r {_RULE}{', *r' * 3_000}]",
    "depth": "[" * 10_000,
    "depth of mappings": "{a: " * 4_000,
    "many values": f"[{', '.join([_RULE] * 800)}]",
    "many small values": "[" + "[]," * 5_000 + "]",
    "size": f"[{{devices: {{id: a}}, reason: {'x' * 250_000}}}]",
    "digits": f"[{{devices: {{id: {'1' * 10_000}}}}}]",
    "hexadecimal digits": f"[{{devices: {{id: 0x{'f' * 10_000}}}}}]",
    "sexagesimal digits": f"[{{devices: {{id: 1{':59' * 5_000}}}}}]",
    "no date": "[{devices: {id: !!timestamp 2024-99-99}}]",
    "no number": "[{devices: {id: !!int x}}]",
    "brackets": f"[{{devices: {{id: '{'[' * 16_000}'}}}}]",
    "stars": f"[{{devices: {{id: '{'*a' * 8_000}'}}}}]",
    "code": "[!!python/object/apply:os.abort []]",
    "control characters": "[\0]",
    "no text": "[\udc80]",
}
