"""One file a verb: answer a click, log clicks, list clicks, build links."""
