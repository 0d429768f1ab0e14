"""Mail that comes in: bounces, complaints, automatic answers and what people write."""
