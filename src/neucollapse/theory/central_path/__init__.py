"""The squared loss with the least-squares classifier at every time: closed-form dynamics (Han, Papyan and Donoho)."""
