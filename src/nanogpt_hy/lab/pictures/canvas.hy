"What all pictures have in common: the question above them, and axes in the text's own characters."

(import  textwrap
         matplotlib.font-manager [findfont get-font]
         nanogpt-hy.lab.pictures.plots [new-figure])

(setv DARK-IS-MUCH "Blues"
      ON-DARK      "#fffffe"        ; not quite white and ink: on a dark page those are exchanged,
      ON-LIGHT     "#222223"        ; while what stands on a coloured square stays as it is
      FEW-CELLS    12               ; so many columns at most have their numbers written in
      MOST-LABELS  40
      MOST-LETTERS 16)              ; of a label: longer ones would leave the picture no room

(defn figure-with [data width height]
  "A figure with the question above."
  (setv figure (new-figure width height)
        lines (textwrap.wrap (plain (get data "question")) (int (* width 12))))
  (.suptitle figure (.join "\n" lines) :x 0.01 :ha "left" :fontsize 11)
  figure)

(defn characters [axis labels]
  "The ticks of an axis are characters of the text, or every so many of them, smaller if there are
  many, and upright where they are whole words. Of a long one the middle is left out."
  (setv count (len labels)
        every (+ 1 (// (- count 1) MOST-LABELS))
        ticks (list (map tick (cut labels None None every)))
        long  (and (= axis.axis-name "x") (> (max (map len ticks)) (if (> count 16) 1 2))))
  (axis.set-ticks (range 0 count every) :labels ticks)
  (.set-tick-params axis :length 0 :labelfontfamily "monospace" :labelrotation (if long 90 0)
                    :labelsize (cond (<= count 16) 10  (<= count 28) 8  True 6)))

(defn spelled [label]
  "str -> str: matplotlib's font does not have every character; those become numbers."
  (setv font (get-font (findfont "DejaVu Sans Mono")))
  (.join "" (gfor  c label  (if (.get-char-index font (ord c)) c f"U+{(ord c) :04X}"))))

(defn escaped [label]
  "str -> str: matplotlib reads what stands between dollar signs as a formula."
  (.replace label "$" r"\$"))

(defn plain [label]
  "str -> str: fit for matplotlib."
  (escaped (spelled label)))

(defn tick [label]
  "str -> str: a label of at most MOST-LETTERS, fit for matplotlib."
  (setv text (spelled label)
        half (// MOST-LETTERS 2))
  (escaped (if (> (len text) MOST-LETTERS)
             (+ (cut text (- half 1)) "…" (cut text (- half) None))
             text)))

(defn squares [axes rows columns values]
  "A table of numbers from 0 to 1 as squares; those of a small table are written in them, in
  hundredths, if they are more than 0."
  (setv image (.imshow axes values :cmap DARK-IS-MUCH :vmin 0 :vmax 1 :aspect "auto"))
  (characters axes.xaxis columns)
  (characters axes.yaxis rows)
  (when (<= (len columns) FEW-CELLS)
    (for [[i row] (enumerate values)
          [j value] (enumerate row)  :if value]
      (.text axes j i f"{(* 100 value) :.0f}" :ha "center" :va "center" :fontsize 8
             :color (if (> value 0.67) ON-DARK ON-LIGHT))))
  image)
