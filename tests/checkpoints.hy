"What the tests of checkpoints share: one to play with, taken apart, and refusals of one line."

(import  json
         pytest
         torch
         torch.nn :as nn
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.checkpoints.checkpoint [load-checkpoint read-meta save-checkpoint]
         nanogpt-hy.lab.checkpoints.metadata [digest])

(setv META {"stage"     "gpt"
            "config"    {"vocab_size" 3  "block_size" 4  "n_layer" 1  "n_head" 1  "n_embd" 2}
            "train"     {"seed" 1337  "device" "cpu"  "min_lr" None}
            "tokenizer" {"kind" "char"  "chars" ["\n" "a" "ß"]}
            "step"      7
            "losses"    {"train" 0.5  "val" 0.625}
            "data"      {"sha256" "00ff"}})

(defn make []
  (nn.Sequential (nn.Embedding 3 2) (nn.Linear 2 3)))

(defn tensors-of [model]
  "What a run would save of MODEL: three kinds of tensors under three prefixes."
  {#** (dfor  [name t] (.items (.state-dict model))  (+ "model." name) t)
   "optimizer.0.step"       (torch.tensor 7.0)
   "optimizer.0.exp_avg"    (torch.randn 3 2)
   "generator.batches"      (.get-state (.manual-seed (torch.Generator) 5))})

(setv TENSORS (tensors-of (make)))

(defn saved [folder [tensors TENSORS] [meta META]]
  (setv path (/ folder "best.safetensors"))
  (save-checkpoint path tensors meta)
  path)

(defn same [a b]
  "Whether two dicts of tensors are equal, bit for bit."
  (and (= (set a) (set b))
       (all (gfor  name a  (and (is (. (get a name) dtype) (. (get b name) dtype))
                              (torch.equal (get a name) (get b name)))))))

(defn refusal [f #* args #** kw]
  "The one line with which (F ARGS…) is refused."
  (with [caught (pytest.raises RequestError)]
    (f #* args #** kw))
  (setv text (str caught.value))
  (assert (not-in "\n" text))
  (assert (< (len text) 600))
  text)

(defn refusals [path]
  "The line in which PATH is refused, by both ways to read it."
  (setv text (refusal load-checkpoint path))
  (assert (= text (refusal read-meta path)))
  (assert (in (str path) text))
  text)

;; A file taken apart and put together again, with a fresh digest if it is to look honest

(defn apart [path]
  "-> header dict, meta dict, data bytes"
  (setv all  (.read-bytes path)
        end  (+ 8 (int.from-bytes (cut all 8) "little"))
        head (json.loads (cut all 8 end)))
  #(head (json.loads (get head "__metadata__" "nanogpt_hy")) (cut all end None)))

(defn framed [text data]
  (setv text (if (isinstance text str) (.encode text) text))
  (+ (.to-bytes (len text) 8 "little") text data))

(defn together [path head meta data [honest True]]
  (when honest
    (setv entries (dfor  [name e] (.items head)
                        :if (and (!= name "__metadata__") (isinstance e dict) (in "shape" e))
                        name [(get e "dtype") (get e "shape")])
          meta    {#** meta  "digest" (digest meta entries)}))
  (when (is-not meta None)
    (setv text (if (isinstance meta str) meta (json.dumps meta))
          head {#** head  "__metadata__" {"nanogpt_hy" text}}))
  (.write-bytes path (framed (json.dumps head) data)))

(defn tampered [path change [honest True]]
  "Let CHANGE edit the header and the metadata of the file PATH in place."
  (setv [head meta data] (apart path))
  (change head meta)
  (together path head meta data honest)
  path)
