"""People's judgments: studies, votes, and what they say of a dataset's rows."""
