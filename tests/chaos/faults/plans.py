"""Plans whose steps are interrupted."""

PLAN_CRASH_POINTS = ("after_plan_commit", "before_plan_commit")
