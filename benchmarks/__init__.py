"""Scripts that print figures: a package, since Opacus installs another of this name."""
