package io.github.wordspot;

/** A word that was detected. */
public final class Detection {
    public final String label;
    /** From 0 to 1. */
    public final float score;
    /** Where the sound that supports it best ends, in milliseconds from the start of the stream. */
    public final double timeMs;

    Detection(String label, float score, double timeMs) {
        this.label = label;
        this.score = score;
        this.timeMs = timeMs;
    }
}
