package io.github.wordspot;

import android.content.Context;
import android.graphics.Color;
import android.view.Gravity;
import android.widget.LinearLayout;
import android.widget.ProgressBar;
import android.widget.TextView;
import java.util.Locale;

/** A word in the list: its name, a bar with its score, and when it was last detected. It lights up then. */
final class WordRow extends LinearLayout {
    private static final int LIT = Color.rgb(0xff, 0xe0, 0x82), STEPS = 1000, LIT_MS = 1000, PADDING = 24, NAME_SP = 24;

    private final ProgressBar bar;
    private final TextView last;
    private final Runnable dim = () -> setBackgroundColor(Color.TRANSPARENT);

    WordRow(Context context, String word) {
        super(context);
        setOrientation(VERTICAL);
        setPadding(PADDING, PADDING, PADDING, PADDING);
        TextView name = new TextView(context);
        name.setText(word);
        name.setTextSize(NAME_SP);
        last = new TextView(context);
        last.setGravity(Gravity.END);
        bar = new ProgressBar(context, null, android.R.attr.progressBarStyleHorizontal);
        bar.setMax(STEPS);
        LinearLayout top = new LinearLayout(context);
        top.addView(name);
        top.addView(last, new LayoutParams(0, LayoutParams.WRAP_CONTENT, 1));
        addView(top);
        addView(bar);
    }

    void showScore(float score) {
        bar.setProgress(Math.round(score * STEPS));
    }

    void lightUp(Detection detection) {
        last.setText(String.format(Locale.getDefault(), "%.1f s, %.2f", detection.timeMs / 1000, detection.score));
        setBackgroundColor(LIT);
        removeCallbacks(dim);
        postDelayed(dim, LIT_MS);
    }
}
