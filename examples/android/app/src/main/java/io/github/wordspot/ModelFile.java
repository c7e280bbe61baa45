package io.github.wordspot;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;

/** Reads a model into memory. */
final class ModelFile {
    private static final int MOST_BYTES = 64 << 20, BLOCK = 1 << 16;

    private ModelFile() {}

    /**
     * All bytes of a file.
     *
     * @throws IOException it cannot be read, or is too large for a model.
     */
    static byte[] read(String name, InputStream stream) throws IOException {
        if (stream == null) throw new IOException(name + " cannot be read");
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        byte[] block = new byte[BLOCK];
        for (int n; (n = stream.read(block)) >= 0; ) {
            content.write(block, 0, n);
            if (content.size() > MOST_BYTES) throw new IOException(name + " is larger than 64 MB, so it is not a model");
        }
        return content.toByteArray();
    }
}
