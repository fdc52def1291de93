"""The doors: encrypted links with other members, over trio."""
