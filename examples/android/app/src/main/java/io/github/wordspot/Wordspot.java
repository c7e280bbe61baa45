package io.github.wordspot;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/**
 * A stream through the C engine: samples in, scores and detections out. It uses no class of Android, so it also runs on a
 * desktop. All methods may be called from any thread.
 */
public final class Wordspot implements AutoCloseable {
    private static final byte[] MAGIC = "wordspot".getBytes(StandardCharsets.US_ASCII);
    private static final int VALUES = 3; // of a detection: label, score, time

    static {
        System.loadLibrary("wordspot_jni");
    }

    /** Samples a second. */
    public final int sampleRate;
    /** Samples from one row of scores to the next. */
    public final int hopSamples;
    /** Rows at the start of a stream that see what was before it. */
    public final int earlyRows;
    /** The names of the columns of a row of scores. */
    public final List<String> labels;

    private long handle;

    /**
     * Open a model.
     *
     * @param name of the file, for messages.
     * @param model content of `model.bin`, which `wordspot export words.onnx --target wasm` writes.
     * @throws IllegalArgumentException it is another file, or damaged; the message is one line that says what to do.
     */
    public Wordspot(String name, byte[] model) {
        if (model.length < MAGIC.length || !Arrays.equals(Arrays.copyOf(model, MAGIC.length), MAGIC)) {
            throw new IllegalArgumentException(name + " is not a model for this app. Open the file model.bin that "
                    + "`wordspot export words.onnx --target wasm --out page` writes.");
        }
        handle = open(model);
        if (handle == 0) {
            throw new IllegalArgumentException(name + " is damaged, or was exported by another version of wordspot. Export it "
                    + "again.");
        }
        int[] facts = about(handle);
        sampleRate = facts[0];
        hopSamples = facts[1];
        earlyRows = facts[3];
        List<String> names = new ArrayList<>();
        for (int i = 0; i < facts[2]; i++) names.add(new String(label(handle, i), StandardCharsets.UTF_8));
        labels = Collections.unmodifiableList(names);
    }

    /**
     * Feed the next samples.
     *
     * @param samples mono, at `sampleRate`; a multiple of `hopSamples`.
     * @param scores receives the posteriors of the newest hop, one for each label; may be null.
     * @return the detections that the samples complete.
     */
    public synchronized List<Detection> feed(short[] samples, float[] scores) {
        if (samples.length == 0 || samples.length % hopSamples != 0) {
            throw new IllegalArgumentException(samples.length + " samples; expected a multiple of " + hopSamples);
        }
        if (scores != null && scores.length != labels.size()) {
            throw new IllegalArgumentException(scores.length + " scores; expected " + labels.size());
        }
        return detections(feed(opened(), samples, scores));
    }

    /** End the stream: returns the detection that was pending, if there was one. The next `feed` starts anew. */
    public synchronized List<Detection> flush() {
        return detections(flush(opened()));
    }

    /** Run the model's self-test and start anew. Returns whether its scores are those at export. */
    public synchronized boolean selfTest() {
        float[] result = selfTest(opened());
        return result[0] <= result[1];
    }

    @Override
    public synchronized void close() {
        if (handle != 0) close(handle);
        handle = 0;
    }

    private long opened() {
        if (handle == 0) throw new IllegalStateException("this model was closed");
        return handle;
    }

    private List<Detection> detections(double[] values) {
        List<Detection> found = new ArrayList<>();
        for (int i = 0; values != null && i < values.length; i += VALUES) {
            found.add(new Detection(labels.get((int) values[i]), (float) values[i + 1], values[i + 2]));
        }
        return found;
    }

    // wordspot_jni.c
    private static native long open(byte[] model);

    private static native void close(long handle);

    /** Sample rate, samples of a hop, number of labels, early rows. */
    private static native int[] about(long handle);

    private static native byte[] label(long handle, int number);

    /** Label, score and time of each detection, or null if there is none. */
    private static native double[] feed(long handle, short[] samples, float[] scores);

    private static native double[] flush(long handle);

    /** The difference and the tolerance. */
    private static native float[] selfTest(long handle);
}
