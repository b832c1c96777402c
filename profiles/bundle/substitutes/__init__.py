"""What stands in a bundle in place of modules that would bring the whole simulator along."""
