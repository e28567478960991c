"What is looked at: a model with its tokenizer, and texts in that tokenizer's own pieces."

(eval-when-compile
  (require hyrule [unless]))
(import  dataclasses [dataclass field]
         torch
         torch.nn :as nn
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.data.encoding [known-text]
         nanogpt-hy.lab.modes [in-eval-mode])

(setv MARKS {"\n" "↵"  " " "␣"  "\t" "⇥"})      ; what has no shape of its own gets one

(defclass [(dataclass :frozen True)] Subject []
  "A model that can be asked about texts. It has no more context than block-size tokens; None means
  that it sees the last token only, wherever that stands."
  #^ object model
  #^ object tokenizer
  #^ (| int None) block-size
  (setv #^ str name "the model"
        #^ dict meta (field :default-factory dict)))

(defn tables [model]
  "model -> its embeddings: of the tokens first, then of the positions, where it has them."
  (lfor  part (.modules model)  :if (isinstance part nn.Embedding)  part))

(defn subject [model [tokenizer None]]
  "A Trained, a #(model tokenizer), or a model beside its TOKENIZER -> Subject."
  (when (isinstance model Subject)
    (return model))
  (when (isinstance model #(tuple list))
    (setv [model tokenizer] model))
  (when (hasattr model "tokenizer")
    (return (Subject model.model model.tokenizer (context-of model.model)
                     (str (getattr model "path" "the model")) (getattr model "meta" {}))))
  (unless (and (isinstance model nn.Module) (hasattr tokenizer "encode"))
    (raise (RequestError (+ "only a model with its tokenizer can be asked about texts: give "
                            "(open-model), or the model and :tokenizer"))))
  (Subject model tokenizer (context-of model)))

(defn context-of [model]
  "model -> int or None: how many tokens it has positions for."
  (setv found (tables model))
  (if (> (len found) 1) (. found [1] num-embeddings) None))

(defn shown [text]
  "str -> str: a text on one line, each of its characters to be seen.
  (shown \"a b\\n\")  ; => 'a␣b↵'"
  (.join "" (gfor  char text
                   (cond
                     (in char MARKS)       (get MARKS char)
                     (.isprintable char)   char
                     True                  (cut (repr char) 1 -1)))))

(defn label [tokenizer id]
  "id -> str: a token as axes show it: its text, or its number where it is no whole character."
  (setv text (.decode tokenizer [id]))
  (if (or (= text "") (in "\ufffd" text)) f"#{id}" (shown text)))

(defn labels [tokenizer ids]
  "ids -> [str]"
  (lfor  id ids  (label tokenizer id)))

(defn vocab-size [subject]
  "-> int: of how many tokens its model speaks; it may have rows to spare, of which its tokenizer
  knows nothing."
  (max subject.tokenizer.vocab-size
       #* (gfor  table (cut (tables subject.model) 1)  table.num-embeddings)))

(defn alphabet [subject]
  "-> [str]: every token there is."
  (labels subject.tokenizer (range (vocab-size subject))))

(defn prompt-ids [subject prompt]
  "str -> ids, count: the tokens the model sees of PROMPT, and how many before them it cannot see."
  (unless prompt
    (raise (RequestError "the prompt is empty: give a text to look at, --prompt TEXT")))
  (setv ids (.encode subject.tokenizer (known-text subject.tokenizer prompt "the prompt"
                                                   "leave them out"))
        cut-off (if subject.block-size (max 0 (- (len ids) subject.block-size)) 0))
  [(cut ids cut-off None) cut-off])

(defn [(torch.no-grad)] logits-of [subject ids]
  "(B T) ids, in lists or a tensor -> (B T V): what the model says at each position; on the CPU."
  (setv device (. (next (.parameters subject.model)) device))
  (with [_ (in-eval-mode subject.model)]
    (.cpu (.float (subject.model (.to (torch.as-tensor ids) device))))))
