"""Running untrusted Python: isolated processes, tagged results, verdicts decided outside."""
