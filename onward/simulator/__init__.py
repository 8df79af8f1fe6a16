"""A seeded city on the product's public sockets and HTTP: couriers, kitchens, customers, and who checks them."""
