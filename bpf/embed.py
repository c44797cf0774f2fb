#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes a file as a C array, so that a program carries its BPF object inside: embed.py IN OUT NAME."""
import sys

source, target, name = sys.argv[1:4]
with open(source, "rb") as f:
    data = f.read()
with open(target, "w", encoding="ascii") as f:
    f.write("/* made from a BPF object by bpf/embed.py */\n")
    f.write(f"static const unsigned char {name}[] __attribute__((aligned(16))) = {{\n")
    for i in range(0, len(data), 16):
        f.write("\t" + ", ".join(str(b) for b in data[i : i + 16]) + ",\n")
    f.write("};\n")
