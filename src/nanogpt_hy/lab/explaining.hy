"Why this token: what the model held likely, what the filters cut, what was drawn; as a table.

It is the sampler's own `steps` that are told of here, so the text is the one that it would write."

(import  dataclasses [dataclass]
         math [log]
         rich.cells [cell-len set-cell-size]
         rich.text [Text]
         torch
         torch.nn.functional :as F
         nanogpt-hy.lab.data.encoding [Decoder]
         nanogpt-hy.lab.sampler [begun known-prompt seed-of SEPARATOR Settings steps write-pieces])


;;; A token's reasons, as data

(defclass [(dataclass :frozen True)] Candidate []
  "A token that could come next: its probability by the model, and after the filters."
  #^ int id
  #^ str text
  #^ float before
  #^ float after)                    ; 0: cut

(defclass [(dataclass :frozen True)] Explained []
  "How one token came about."
  #^ str context                     ; the end of what the model saw
  #^ tuple likeliest                 ; Candidates, by their probability before
  #^ int cut                         ; how many tokens the filters cut ...
  #^ float cut-share                 ; ... and their probability before
  #^ Candidate drawn
  #^ float surprise                  ; nats, -ln of the drawn one's probability before: its loss
  #^ str text)                       ; what the text gained by it

(defn explain-step [step tokenizer text * [likeliest 8]]
  "Step of one row -> Explained."
  (setv before (F.softmax (.double (.cpu (get step.logits 0))) :dim -1)  ; (V)
        after  (.cpu (get step.probabilities 0))                         ; (V)
        order  (. (torch.sort before :descending True :stable True) indices)
        cut-off (= after 0)                                              ; (V)
        tail   (cut (.tolist (get step.ids 0)) (- (min step.seen 16)) None))
  (defn candidate [id]
    (Candidate id (.decode tokenizer [id]) (float (get before id)) (float (get after id))))
  (setv drawn (candidate (int step.drawn)))
  (Explained (.decode tokenizer tail)
             (tuple (map candidate (.tolist (cut order likeliest))))
             (int (.sum cut-off))
             (float (.sum (get before cut-off)))
             drawn
             (if drawn.before (max 0.0 (- (log drawn.before))) (float "inf"))
             text))

(defn explain [model tokenizer ids * [settings (Settings)] [generator None] [likeliest 8] #** how]
  "(1 T) -> Explained...: what `tokens` would draw, one at a time, with its reasons. It ends after
  the token that completes the stop string. HOW: see `steps`."
  (setv decoding (Decoder tokenizer)
        count    settings.max-new-tokens
        written  "")
  (for [[n step] (enumerate (steps model ids count :settings settings :generator generator #** how)
                            1)]
    (setv text    (.feed decoding (int step.drawn))
          text    (if (= n count) (+ text (.end decoding)) text)
          written (+ written text))
    (yield (explain-step step tokenizer text :likeliest likeliest))
    (when (and settings.stop (in settings.stop written))
      (return))))


;;; As a line of a table

(defn visible [text]
  "A text in quotes, its newlines escaped; half a character as ?
  ; (visible \"\\n\") => \"'\\\\n'\""
  (repr (.replace text "\ufffd" "?")))

(defn label [candidate]
  "A token as the table shows it: its text, or its number where it is but a part of a character."
  (setv shown (if (in "\ufffd" candidate.text) f"#{candidate.id}" (visible candidate.text)))
  (if (> (cell-len shown) 12) (+ (set-cell-size shown 10) "..") shown))

(defn fit-left [text width]
  "The end of TEXT that, made visible, is at most WIDTH wide."
  (while (and text (> (cell-len (visible text)) width))
    (setv text (cut text 1 None)))
  (visible text))

(defn pad [text width]
  "TEXT, filled up with spaces to WIDTH columns."
  (+ text (* " " (- width (cell-len text)))))

(defn percent [probability]
  "Of 100, three columns or fewer  ; (percent 0.414) => '41'"
  (if (< 0 probability 0.01) "<1" f"{(* 100 probability) :.0f}"))

(defn candidate-cell [candidate filtered]
  "A candidate, its percentage by the model and, if FILTERED, what the filters made of it."
  (+ f"{(label candidate)} {(percent candidate.before)}"
     (cond
       (not filtered) ""
       (= candidate.after 0) " cut"
       True f">{(percent candidate.after)}")))

(defn filters-anything [settings]
  "Whether SETTINGS draw otherwise than with the model's own probabilities."
  (!= #(settings.temperature settings.top-k settings.top-p) #(1 0 1)))

(defn explain-header [filtered]
  "The line above `explain-line`s."
  (+ (pad "after" 12) "  " (pad "drawn" 6) "      %  nats"
     (if filtered (+ "  " (pad "cut" 8)) "")
     "  likeliest next, %" (if filtered ": model>filtered" "")))

(defn explain-line [explained filtered width]
  "Explained -> str: a line with as many of the likeliest as fit into WIDTH columns."
  (setv line (+ (pad (fit-left explained.context 12) 12) "  "
                (pad (label explained.drawn) 6) "  "
                f"{(* 100 explained.drawn.after) :5.1f}" "  "
                f"{explained.surprise :4.2f}"
                (if filtered
                  (+ "  " (pad f"{explained.cut}: {(percent explained.cut-share)}%" 8))
                  "")))
  (for [candidate explained.likeliest]
    (setv cell (+ "  " (pad (candidate-cell candidate filtered) (if filtered 10 7))))
    (when (> (+ (cell-len line) (cell-len (.rstrip cell))) width)
      (break))
    (setv line (+ line cell)))
  (.rstrip line))


;;; On the screen

(defn show-explained [rows console * [filtered True]]
  "Explained... -> str: print a header and a line for each to the rich CONSOLE as they come; the
  text that they wrote."
  (defn say [line style]
    (.print console (Text line :style style) :soft-wrap True))
  (setv written [])
  (say (cut (explain-header filtered) console.width) "bold")
  (for [row rows]
    ;; What was to be expected looks quiet, what surprised does not.
    (say (explain-line row filtered console.width) (if (> row.surprise 1) "yellow" ""))
    (.append written row.text))
  (.join "" written))

(defn explain-texts [model tokenizer console * [prompt ""] [settings (Settings)] [starts None]
                     #** how]
  "-> list of str: what `sample-texts` writes with the same settings, each text below a table of how
  its tokens came about, printed to the rich CONSOLE."
  (setv prompt (known-prompt tokenizer (or prompt "") settings.unknown)
        seed   (seed-of settings)
        texts  [])
  (for [index (range settings.num-samples)]
    (when index
      (.write console.file SEPARATOR))
    (setv [ids text generator] (begun model tokenizer prompt index :starts starts :seed seed)
          rows    (explain model tokenizer ids :settings settings :generator generator #** how)
          written (show-explained rows console :filtered (filters-anything settings)))
    (when settings.stop
      (setv written (get (.split written settings.stop 1) 0)))
    (.write console.file "\n")
    (.append texts (write-pieces [text written] console.file)))
  texts)
