"""What the end-to-end tests are written with; see README.md beside this folder."""
