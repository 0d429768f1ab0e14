"""What the law gives every person: to have what is known of them, and to have it gone (GDPR art. 15, 17, 20)."""
