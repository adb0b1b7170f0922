#!/usr/bin/env node
import '../../dist/benchmarks/cli/main.js';
