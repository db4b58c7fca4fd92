"""Types and rules of the mesh. No I/O; the clock is passed in; knows nothing of the floors above."""
