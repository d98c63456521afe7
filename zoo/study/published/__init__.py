"""Published ablation plans: reading them, and making a study of them by a map."""
