"""What a chain shows of a token before a sniper buys it: each module is one thing that is looked at, `look` asks the nodes."""
