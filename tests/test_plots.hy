"Pictures: the format by the suffix, the same file from the same data, and no state left behind."

(import  re
         subprocess
         sys
         matplotlib [rcParams]
         pytest
         nanogpt-hy.errors [RequestError WorkError]
         nanogpt-hy.lab.pictures.plots [COLOURS new-figure picture-format save-figure])

(defn drawn []
  "A figure with all that text can be on."
  (setv figure (new-figure 5 3)
        axes   (.subplots figure))
  (.plot axes [1 2 3] [3 1 2] :label "loss")
  (.set-xlabel axes "step")
  (.set-ylabel axes "nats per token")
  (.set-title axes "a picture")
  (.legend axes)
  figure)

(defn test-the-suffix-says-the-format [tmp-path]
  (setv [png svg] [(/ tmp-path "a.PNG") (/ tmp-path "a.svg")])
  (save-figure (drawn) png)
  (save-figure (drawn) svg)
  (assert (.startswith (.read-bytes png) b"\x89PNG\r\n"))
  (assert (in "nats per token" (.read-text svg :encoding "utf-8")))
  (assert (= (sorted (lfor  f (.iterdir tmp-path)  f.name)) ["a.PNG" "a.svg"])))

(defn [(pytest.mark.parametrize "name" ["a.pdf" "a" "a.svg.gz" ".png"])]
    test-another-suffix-is-a-wrong-request [name tmp-path]
  (with [_ (pytest.raises RequestError :match r"neither \.png nor \.svg")]
    (save-figure (drawn) (/ tmp-path name)))
  (assert (not (list (.iterdir tmp-path)))))

(defn test-a-folder-that-is-not-there [tmp-path]
  (with [_ (pytest.raises WorkError :match "cannot write")]
    (save-figure (drawn) (/ tmp-path "nowhere" "a.png"))))

(defn test-the-format-is-known-before-the-work []
  (assert (= (picture-format "runs/floors.SVG") "svg")))

(defn test-pyplot-is-not-needed []
  (setv code (+ "import hy, io, sys; from nanogpt_hy.lab.pictures.plots import new_figure; "
                "figure = new_figure(); figure.subplots(); figure.savefig(io.BytesIO()); "
                "sys.exit('matplotlib.pyplot' in sys.modules)"))
  (assert (= 0 (. (subprocess.run [sys.executable "-c" code]) returncode))))

(defn test-the-same-data-give-the-same-file [tmp-path]
  (for [name ["a.svg" "b.svg" "a.png" "b.png"]]
    (save-figure (drawn) (/ tmp-path name)))
  (for [kind ["svg" "png"]]
    (assert (= (.read-bytes (/ tmp-path f"a.{kind}")) (.read-bytes (/ tmp-path f"b.{kind}"))))))

(defn test-the-users-settings-stay []
  (setv before (dict rcParams))
  (drawn)
  (assert (= (dict rcParams) before)))

(defn test-letters-are-large-enough-at-four-fifths []
  (setv [axes] (. (drawn) axes)
        sizes  [(.get-size axes.xaxis.label) (.get-size axes.yaxis.label)
                #* (lfor  t (.get-xticklabels axes)  (.get-size t))
                #* (lfor  t (.get-texts (.get-legend axes))  (.get-size t))])
  (assert (>= (* 0.8 (min sizes)) 8)))

(defn luminance [colour]
  "\"#rrggbb\" -> 0 to 1, as WCAG 2 defines relative luminance."
  (defn linear [part]
    (setv x (/ (int part 16) 255))
    (if (<= x 0.04045) (/ x 12.92) (** (/ (+ x 0.055) 1.055) 2.4)))
  (sum (gfor  [weight part] (zip [0.2126 0.7152 0.0722] (re.findall ".." (cut colour 1 None)))
              (* weight (linear part)))))

(defn test-the-first-colours-stand-out-from-white []
  "WCAG 2.1, 1.4.11: parts of pictures need a contrast of 3 to 1."
  (for [colour (cut COLOURS 3)]
    (assert (>= (/ 1.05 (+ (luminance colour) 0.05)) 3) colour)))
