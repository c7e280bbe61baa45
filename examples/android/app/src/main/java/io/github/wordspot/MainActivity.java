package io.github.wordspot;

import android.Manifest;
import android.app.Activity;
import android.content.Intent;
import android.content.pm.PackageManager;
import android.database.Cursor;
import android.net.Uri;
import android.os.Bundle;
import android.provider.OpenableColumns;
import android.widget.Button;
import android.widget.LinearLayout;
import android.widget.ScrollView;
import android.widget.TextView;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The words of a model as a list; the one that is said lights up. */
public final class MainActivity extends Activity implements Listener.Watcher {
    private static final String SHIPPED = "model.bin"; // in the assets
    private static final int PERMISSION = 1, FILE = 2;

    private TextView status;
    private Button listen;
    private LinearLayout list;
    private final Map<String, WordRow> rows = new HashMap<>();
    private Wordspot wordspot;
    private Listener listener;

    @Override
    protected void onCreate(Bundle saved) {
        super.onCreate(saved);
        status = new TextView(this);
        listen = new Button(this);
        listen.setOnClickListener(view -> startOrStop());
        Button open = new Button(this);
        open.setText(R.string.open);
        open.setOnClickListener(view -> chooseFile());
        list = new LinearLayout(this);
        list.setOrientation(LinearLayout.VERTICAL);
        ScrollView scroll = new ScrollView(this);
        scroll.addView(list);
        LinearLayout all = new LinearLayout(this);
        all.setOrientation(LinearLayout.VERTICAL);
        all.addView(listen);
        all.addView(open);
        all.addView(status);
        all.addView(scroll);
        setContentView(all);
        showListening();
        try (InputStream stream = getAssets().open(SHIPPED)) {
            useModel(SHIPPED, ModelFile.read(SHIPPED, stream));
        } catch (FileNotFoundException missing) {
            status.setText(R.string.no_model);
        } catch (IOException | IllegalArgumentException error) {
            status.setText(error.getMessage());
        }
    }

    @Override
    protected void onStop() {
        stop();
        super.onStop();
    }

    @Override
    protected void onDestroy() {
        if (wordspot != null) wordspot.close();
        super.onDestroy();
    }

    private void useModel(String name, byte[] content) {
        Wordspot opened = new Wordspot(name, content);
        stop();
        if (wordspot != null) wordspot.close();
        wordspot = opened;
        rows.clear();
        list.removeAllViews();
        List<String> words = new ArrayList<>();
        for (String label : opened.labels) {
            if (label.startsWith("_")) continue; // _silence_ and _unknown_ are no words
            words.add(label);
            WordRow row = new WordRow(this, label);
            rows.put(label, row);
            list.addView(row);
        }
        status.setText(getString(R.string.opened, name, words.size()));
    }

    private void startOrStop() {
        if (listener != null) {
            stop();
        } else if (wordspot == null) {
            status.setText(R.string.no_model);
        } else if (checkSelfPermission(Manifest.permission.RECORD_AUDIO) == PackageManager.PERMISSION_GRANTED) {
            start();
        } else {
            requestPermissions(new String[] {Manifest.permission.RECORD_AUDIO}, PERMISSION);
        }
    }

    @Override
    public void onRequestPermissionsResult(int request, String[] permissions, int[] results) {
        if (results.length > 0 && results[0] == PackageManager.PERMISSION_GRANTED) {
            start();
        } else {
            status.setText(R.string.no_permission);
        }
    }

    private void start() {
        try {
            listener = new Listener(wordspot, new PhoneMicrophone(wordspot.sampleRate), this);
        } catch (IOException error) {
            status.setText(error.getMessage());
            return;
        }
        listener.start();
        status.setText(R.string.listening);
        showListening();
    }

    private void stop() {
        if (listener == null) return;
        try {
            listener.stop();
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
        listener = null;
        status.setText("");
        showListening();
    }

    private void showListening() {
        listen.setText(listener == null ? R.string.listen : R.string.stop);
    }

    private void chooseFile() {
        Intent intent = new Intent(Intent.ACTION_OPEN_DOCUMENT);
        intent.addCategory(Intent.CATEGORY_OPENABLE);
        intent.setType("*/*");
        startActivityForResult(intent, FILE);
    }

    @Override
    protected void onActivityResult(int request, int result, Intent data) {
        if (request != FILE || result != RESULT_OK || data == null || data.getData() == null) return;
        String name = nameOf(data.getData());
        try (InputStream stream = getContentResolver().openInputStream(data.getData())) {
            useModel(name, ModelFile.read(name, stream));
        } catch (IOException | IllegalArgumentException | SecurityException error) {
            status.setText(error.getMessage());
        }
    }

    private String nameOf(Uri file) {
        String[] columns = {OpenableColumns.DISPLAY_NAME};
        try (Cursor cursor = getContentResolver().query(file, columns, null, null, null)) {
            boolean known = cursor != null && cursor.moveToFirst() && !cursor.isNull(0);
            return known ? cursor.getString(0) : getString(R.string.this_file);
        }
    }

    // Listener.Watcher, in the thread of the listener

    @Override
    public void scored(float[] scores) {
        float[] copy = scores.clone();
        List<String> labels = wordspot.labels;
        runOnUiThread(() -> {
            for (int i = 0; i < copy.length && i < labels.size(); i++) {
                WordRow row = rows.get(labels.get(i));
                if (row != null) row.showScore(copy[i]);
            }
        });
    }

    @Override
    public void detected(Detection detection) {
        runOnUiThread(() -> {
            WordRow row = rows.get(detection.label);
            if (row != null) row.lightUp(detection);
        });
    }

    @Override
    public void ended(String message) {
        if (message == null) return;
        runOnUiThread(() -> {
            stop();
            status.setText(message);
        });
    }
}
