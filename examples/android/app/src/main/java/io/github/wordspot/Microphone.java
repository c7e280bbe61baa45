package io.github.wordspot;

import java.io.Closeable;
import java.io.IOException;

/** A source of 16-bit mono samples: the microphone of a phone, or a recording in a test. */
public interface Microphone extends Closeable {
    /**
     * Fill the array with the next samples.
     *
     * @return false if the sound has ended before the array was full.
     * @throws IOException the microphone failed.
     */
    boolean read(short[] samples) throws IOException;
}
