"What a checkpoint says of itself, its metadata, and what is wrong with it.

The metadata hold one JSON object under the key `nanogpt_hy`:

  format     1, the version of this list
  stage      which model of the ladder
  config     the model's hyperparameters, in underscored names
  tokenizer  {\"kind\": \"char\", \"chars\": [...]}, or another kind with what that kind needs
  step       training steps done
  train, losses, data   how it was trained, how well, on what: objects, empty where unknown
  digest     sha256 of all this and of the tensors' names, kinds and shapes"

(eval-when-compile
  (require hyrule [unless]))
(import  math [prod]
         nanogpt-hy.config [whole]
         nanogpt-hy.lab.files [json-hash short]
         nanogpt-hy.lab.strangers [chars-problem parse-object refuse WAY-OUT])

(setv FORMAT    1
      KEY       "nanogpt_hy"
      TEXT-KEY  "nanogpt_hy_text"       ; a token file's
      MOST-META 50,000,000)             ; bytes of JSON

(setv META-KINDS    {"stage" str  "config" dict  "tokenizer" dict  "step" int
                     "train" dict  "losses" dict  "data" dict}
      META-DEFAULTS {"train" {}  "losses" {}  "data" {}}
      KIND-WORDS    {str "text"  dict "an object"  int "a whole number"})

(defn digest [meta entries]
  "dict, {name: (dtype shape)} -> str: what the header says, in 64 letters; a fallen bit shows."
  (setv said [(dfor  [k v] (.items meta) :if (!= k "digest") k v)
              (dfor  [name [kind shape]] (.items entries) name [kind (list shape)])])
  (json-hash said))

(defn meta-problem [meta]
  "dict -> str or None: what is wrong with metadata of format 1."
  (setv whole-meta {#** META-DEFAULTS  #** meta})
  (for [[key kind] (.items META-KINDS)]
    (unless (in key whole-meta)
      (return f"lacks {key !r}"))
    (unless (is (type (get whole-meta key)) kind)
      (return f"has a {key} that is not {(get KIND-WORDS kind)}")))
  (unless (whole (get meta "step"))
    (return "has a step that is negative or absurd"))
  (or (config-problem (get meta "config"))
      (tokenizer-problem (get meta "tokenizer") (.get (get meta "config") "vocab_size"))))

(defn config-problem [config]
  "dict -> str or None: what is wrong with the config's form; the rest is config.hy's business."
  (for [[name value] (.items config)]
    (unless (or (is value None) (in (type value) #{int float bool str}))
      (return f"has a config whose {(short name)} is a list or an object")))
  (for [name ["vocab_size" "block_size" "n_layer" "n_head" "n_embd"]]
    (unless (whole (.get config name 1) 1)
      (setv value (short (get config name)))
      (return f"has a config whose {name} is {value} instead of a whole number from 1"))))

(defn tokenizer-problem [tokenizer vocab-size]
  "dict, int or None -> str or None: what is wrong with a tokenizer; kinds but char are not read."
  (setv kind    (.get tokenizer "kind")
        chars   (.get tokenizer "chars")
        problem (chars-problem chars))
  (cond
    (not (isinstance kind str)) "has a tokenizer without a kind"
    (!= kind "char") None
    problem f"has a tokenizer whose chars {problem}"
    (not-in vocab-size #(None (len chars)))
    f"has a tokenizer of {(len chars)} characters and a config whose vocab_size is {vocab-size}"))

(defn sizes-problem [meta entries]
  "dict, {name: (dtype shape)} -> str or None: the size that these tensors cannot have.
  The bounds are wide, as some stages leave a size unused; check-shapes is exact. They keep a lie of
  10^9 layers from being built just to find out."
  (setv weights (lfor  [name [_ shape]] (.items entries)
                      :if (.startswith name "model.")
                      (prod shape))
        widest  (max 65,536 (sum weights))
        deepest (max 1000 (len weights))
        config  (get meta "config"))
  (for [[name most] (.items {"vocab_size" widest  "block_size" widest  "n_embd" widest
                             "n_layer" deepest  "n_head" deepest})]
    (when (> (.get config name 1) most)
      (return f"claims {name} {(get config name)}, which its {(sum weights)} weights cannot be")))
  (setv heads (* (.get config "n_layer" 1) (.get config "n_head" 1)))
  (when (> heads (* 10 deepest))
    (return f"claims {heads} heads in all, which its {(len weights)} tensors cannot be")))

(defn check-format [path meta entries newest [way-out WAY-OUT]]
  "RequestError unless META is of a format up to NEWEST and has the digest of itself and ENTRIES."
  (setv version (.get meta "format"))
  (unless (whole version 1)
    (refuse path "has metadata without the number of its format" way-out))
  (when (> version newest)
    (refuse path f"is of format {version}, this nanogpt-hy knows formats up to {newest}"
            "update nanogpt-hy"))
  (when (!= (.get meta "digest") (digest meta entries))
    (refuse path "is damaged: its header does not match its own digest" way-out)))

(defn check-meta [path notes entries]
  "file name, {key: text}, {name: (dtype shape)} -> dict: our metadata among the texts, checked."
  (when (in TEXT-KEY notes)
    (refuse path "is a token file, no checkpoint"
            "give it where a text goes, and name a run's folder here"))
  (unless (in KEY notes)
    (refuse path "is a .safetensors file, but not one of nanogpt-hy (no nanogpt_hy metadata)"
            "`nanogpt-hy import` reads GPTs of other programs"))
  (setv meta (parse-object path (get notes KEY) "metadata"))
  (check-format path meta entries FORMAT)
  (setv problem (or (meta-problem meta) (sizes-problem meta entries)))
  (when problem
    (refuse path f"has metadata that {problem}"))
  {#** META-DEFAULTS  #** meta})
