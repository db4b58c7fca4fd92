"""Types and rules of the mesh. No I/O; the clock is passed in; imports nothing from the floors above."""
