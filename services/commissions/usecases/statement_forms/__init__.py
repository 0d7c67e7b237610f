"""The forms of a statement: JSON, CSV, XLSX and PDF. The same statement gives the same bytes for ever, wherever it is
rendered: no form reads a clock, a locale, a hash seed or the machine's fonts."""
