"""Downloads that a user asks for: resumable, checked, with a sentence for every refusal."""
