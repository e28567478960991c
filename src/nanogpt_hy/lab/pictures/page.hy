"All pictures of a model on one HTML page that needs nothing else: no server, no network.

Attention and the next token can be played with; the others are drawings, each with its numbers in a
table. Prompts and tokens are data: the template escapes them, in text and in JSON."

(import  pathlib [Path]
         re
         jinja2 [Environment StrictUndefined]
         nanogpt-hy.lab.inside.machine [state-name]
         nanogpt-hy.lab.inside.subject [shown]
         nanogpt-hy.lab.pictures.figures [figure-of]
         nanogpt-hy.lab.pictures.plots [picture-bytes])

(setv TEMPLATE (/ (. (Path __file__) parent) "page.html.j2")
      TITLES {"positions" "Loss by position"  "loss" "Training"  "embeddings" "Embeddings"
              "chain" "The model as a machine"  "truth" "Model and truth"}
      MOST-ROWS 200)

;;; Drawings

(defn svg-of [data name]
  "plain data -> <svg>: its picture without a background, in the page's own ink. Ids begin with
  NAME, so that no two pictures on a page share one."
  (setv figure (figure-of data))
  (.suptitle figure "")                  ; the page has the question above the picture
  (setv text (.decode (picture-bytes figure "svg" :transparent True) "utf-8")
        text (cut text (.index text "<svg") None))
  (for [[pattern new] [[" id=\"image[^\"]*\""           ""]          ; equal images have equal ids
                       ["( id=\")"                    f"\\1{name}-"]
                       [r"(url\(#)"                   f"\\1{name}-"]
                       ["xlink:href=\"#"              f"href=\"#{name}-"]
                       ["xlink:href="                 "href="]
                       [r"#222222\b"                 "currentColor"]
                       [r"#ffffff\b"                 "var(--paper)"]
                       [r"#0072b2\b"                 "var(--blue)"]
                       [r"<metadata>.*?</metadata>"  ""]]]
    (setv text (re.sub pattern new text :flags re.DOTALL)))
  (.replace text "<svg" "<svg role=\"img\" aria-hidden=\"true\"" 1))

(defn png-of [data]
  "plain data -> bytes: its picture as a PNG file, for a notebook."
  (picture-bytes (figure-of data) "png" :dpi 100))

;;; Their numbers

(defn number [x]
  "A number as a table shows it."
  (cond
    (is x None) ""
    (isinstance x float) f"{x :.4f}"
    True f"{x}"))

(defn expected [tokens p]
  "[str] [p] -> str: the likeliest three."
  (.join "  " (gfor  i (cut (sorted (range (len p)) :key (fn [i] (- (get p i)))) 3)
                     f"{(get tokens i)} {(* 100 (get p i)) :.1f} %")))

(defn numbers-of [data]
  "plain data -> column names, rows: what the picture was drawn from."
  (match (get data "kind")
    "positions" [["position" "loss" "standard error" "floor"]
                 (zip (get data "positions") (get data "loss") (get data "error")
                      (or (get data "floor") (* [None] (len (get data "loss")))))]
    "loss" [["step" "training" "validation"]
            (zip (get data "steps") (get data "train") (get data "val"))]
    "embeddings" [["token or position" "across" "up"]
                  (gfor  group (get data "groups")
                         [label [x y]] (zip (get group "labels") (get group "points"))
                         [label x y])]
    "chain" [["state" "how often" "next"]
             (gfor  state (get data "merged")
                    [(state-name state) (get state "stationary")
                     (expected (get data "alphabet") (get state "next"))])]
    "truth" [["context" "how often" "KL"
              (if (= (get data "against") "chain") "true" "counted") "model"]
             (gfor  c (get data "contexts")
                    [(get c "context") (get c "weight") (get c "kl")
                     (expected (get data "chars") (get c "true"))
                     (expected (get data "chars") (get c "model"))])]))

(defn picture [data]
  "plain data -> what the template needs of it."
  (setv kind (get data "kind")
        [columns rows] (numbers-of data))
  {"kind" kind  "title" (get TITLES kind)  "question" (get data "question")
   "svg" (svg-of data kind)  "columns" columns
   "rows" (cut (lfor  row rows  (list (map number row))) MOST-ROWS)})

;;; The page

(defn rounded [x digits]
  "Numbers in lists, with fewer digits."
  (if (isinstance x list) (lfor  y x  (rounded y digits)) (round x digits)))

(defn script-data [parts]
  "What the page's script needs: attention and logits."
  (setv attention (.get parts "attention")
        next (.get parts "next"))
  {"attention" (when attention
                 {"tokens" (get attention "tokens")
                  "layers" (lfor  layer (get attention "layers")
                                  {"layer" (get layer "layer")
                                   "heads" (lfor  h (get layer "heads")
                                                  {"head" (get h "head")
                                                   "weights" (rounded (get h "weights") 5)})})})
   "next" (when next
            (| (dfor  key ["context" "tokens" "temperature" "top_k" "top_p"]  key (get next key))
               {"logits" (rounded (get next "logits") 5)}))})

(defn printable [text]
  "str -> str: what cannot be printed, as escapes."
  (.join "" (gfor  c text  (if (or (.isprintable c) (in c "\n\t")) c (shown c)))))

(defn page-of [all-data * [title "A model"] [about ""] [missing []]]
  "[plain data] -> str: the page. MISSING: lines that say what is not on it and why."
  (setv parts (dfor  data all-data  (get data "kind") data)
        environment (Environment :autoescape True :undefined StrictUndefined
                                 :trim-blocks True :lstrip-blocks True)
        template (.from-string environment (.read-text TEMPLATE :encoding "utf-8")))
  (.render template
    :title (printable title)  :about (printable about)  :missing (list (map printable missing))
    :data (script-data parts)
    :attention (.get parts "attention")  :next (.get parts "next")
    :pictures (lfor  data all-data  :if (in (get data "kind") TITLES)  (picture data))))
