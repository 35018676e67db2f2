"""Opens exported models and answers with them; torch is not needed."""
