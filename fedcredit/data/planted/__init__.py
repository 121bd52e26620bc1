"""What the made-up consortium is made of: its columns, its people, and what is planted in them."""
