"Pictures: one quiet style for all of them, drawn without a window, written as PNG or SVG.

Only matplotlib's objects are used and nothing of pyplot, so no figure outlives its use and no
setting of a user's own session is changed."

(import  io [BytesIO]
         pathlib [Path]
         matplotlib [cycler rc-context]
         matplotlib.figure [Figure]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.files [write-atomic])

;; Colours that people with any kind of colour vision tell apart (Okabe and Ito, 2008,
;; https://jfly.uni-koeln.de/color/), darkest contrasts first; yellow is left out, being too faint
;; on white.
(setv COLOURS ["#0072B2" "#D55E00" "#009E73" "#CC79A7" "#E69F00" "#56B4E9"]
      INK   "#222222"
      FAINT "#8A8A8A")                  ; for what stands behind the data: floors, yardsticks

;; Sizes are in points: read at four fifths of the size, the smallest letters still have 8.
(setv STYLE
  {"font.size" 11  "axes.labelsize" 11  "axes.titlesize" 12  "legend.fontsize" 10
   "xtick.labelsize" 10  "ytick.labelsize" 10
   "axes.titlelocation" "left"  "axes.prop_cycle" (cycler :color COLOURS)
   "axes.spines.top" False  "axes.spines.right" False  "axes.linewidth" 0.8
   "axes.edgecolor" FAINT  "axes.labelcolor" INK  "text.color" INK
   "xtick.color" FAINT  "ytick.color" FAINT  "xtick.labelcolor" INK  "ytick.labelcolor" INK
   "lines.linewidth" 1.6  "lines.markersize" 5  "legend.frameon" False
   "savefig.dpi" 160
   ;; An SVG keeps its letters as text, and the same data give the same file.
   "svg.fonttype" "none"  "svg.hashsalt" "nanogpt-hy"})

(defclass Picture [Figure]
  "A matplotlib Figure whose axes all come in the one style."
  (defn add-subplot [self #* place #** options]
    (with [_ (rc-context STYLE)]
      (.add-subplot (super) #* place #** options))))

(defn new-figure [[width 6.4] [height 4.0]]
  "inches -> Figure: empty; `(.subplots figure …)` makes axes in the project's style."
  (with [_ (rc-context STYLE)]
    (Picture :figsize #(width height) :layout "constrained")))

(defn picture-format [path]
  "file name -> \"png\" or \"svg\", by its suffix; RequestError for another one.
  (picture-format \"floors.svg\")  ; => 'svg'"
  (setv suffix (.lower (. (Path path) suffix)))
  (when (not-in suffix [".png" ".svg"])
    (raise (RequestError f"{path} is neither .png nor .svg: name a picture file that ends in one")))
  (cut suffix 1 None))

(defn picture-bytes [figure kind #** options]
  "Figure, \"png\" or \"svg\" -> bytes: its picture, as a file would hold it. OPTIONS: savefig's."
  (setv out (BytesIO))
  (with [_ (rc-context STYLE)]
    (.savefig figure out :format kind #** options))
  (.getvalue out))

(defn save-figure [figure path]
  "Figure, file name -> None: the picture is in the file, whole or not at all."
  (setv kind  (picture-format path)
        about (if (= kind "svg") {"Date" None  "Creator" "nanogpt-hy"} {}))
  (write-atomic path (picture-bytes figure kind :metadata about)))
