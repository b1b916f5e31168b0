"""The door: sign-in and sign-out pages, and the lock before everything that Streamlit serves."""
