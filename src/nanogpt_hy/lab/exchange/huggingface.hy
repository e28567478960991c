"Hugging Face's GPT-2 folders, out and in: config.json, safetensors, tokenizer.json.

Their names are nanoGPT's, but the matrices of a block stand transposed (Conv1D), and every layer
but the lm-head has a bias (transformers, models/gpt2/modeling_gpt2.py)."

(eval-when-compile
  (require hyrule [unless]))
(import  dataclasses [replace]
         json
         re
         safetensors [safe-open SafetensorError]
         safetensors.torch :as safetensors
         nanogpt-hy.config [of-kind]
         nanogpt-hy.lab.checkpoints.checkpoint [header]
         nanogpt-hy.lab.data.tokenizers [read-tokenizer tokenizer-json]
         nanogpt-hy.lab.exchange.foreign [ANOTHER check-fit complete foreign-config plain
                                          save-import SIZES write-files]
         nanogpt-hy.lab.exchange.plain-gpt2 [plain-gpt2]
         nanogpt-hy.lab.files [read-bytes short]
         nanogpt-hy.lab.strangers [parse-object refuse])

(setv MOST-JSON   20,000,000           ; bytes
      EPSILON     1e-5                 ; in the layer norms: torch's and GPT-2's
      CONV1D      #("attn.c_attn.weight" "attn.c_proj.weight" "mlp.c_fc.weight" "mlp.c_proj.weight")
      ;; Hugging Face's names: ours. Of two names for the same, GPT-2's comes last.
      ACTIVATIONS {"gelu"              "gelu"
                   "gelu_pytorch_tanh" "gelu-tanh"
                   "gelu_new"          "gelu-tanh"
                   "relu"              "relu"}
      NAMES-THERE (dfor  [theirs ours] (.items ACTIVATIONS)  ours theirs)
      FIXED       {"model_type" "gpt2"              ; where these differ, it is another model
                   "layer_norm_epsilon" EPSILON
                   "scale_attn_weights" True
                   "scale_attn_by_inverse_layer_idx" False
                   "add_cross_attention" False})

;;; Out

(defn huggingface-tensors [tensors c]
  "Ours -> theirs: blocks' matrices transposed, a bias everywhere, a tied lm-head left out."
  (setv out {})
  (for [[name t] (.items tensors)
        :if (not (and c.tied (= name "lm_head.weight")))]
    (setv (get out name) (.contiguous (if (.endswith name CONV1D) t.mT t)))
    (when (and (not c.bias) (.startswith name "transformer.") (not-in ".wte." name)
               (not-in ".wpe." name))
      (setv (get out (.replace name ".weight" ".bias")) (.new-zeros t (get t.shape 0)))))
  out)

(defn huggingface-config [c end]
  "-> dict: the config.json of a GPT2LMHeadModel; END is the id of <|endoftext|>, or None."
  {"model_type" "gpt2"  "architectures" ["GPT2LMHeadModel"]
   "vocab_size" c.vocab-size  "n_positions" c.block-size  "n_embd" c.n-embd  "n_layer" c.n-layer
   "n_head" c.n-head  "n_inner" None
   "activation_function" (get NAMES-THERE c.activation)
   "resid_pdrop" c.dropout  "embd_pdrop" c.dropout  "attn_pdrop" c.dropout
   "layer_norm_epsilon" EPSILON  "tie_word_embeddings" c.tied
   "bos_token_id" end  "eos_token_id" end  "torch_dtype" "float32"
   "nanogpt_hy" {"bias" c.bias}})

(defn export-huggingface [trained out]
  "Write config.json, model.safetensors and the tokenizer's files into the folder OUT; -> notes."
  (setv [tensors c notes] (plain-gpt2 trained)
        words (tokenizer-json trained.tokenizer)
        ends  (lfor  token (get (json.loads words) "added_tokens")
                     :if (= (get token "content") "<|endoftext|>")
                     (get token "id"))
        end   (if ends (get ends 0) None))
  [#* (write-files out
        {"model.safetensors" (safetensors.save (huggingface-tensors tensors c) {"format" "pt"})
         "tokenizer.json" words
         "tokenizer_config.json"
         (json.dumps {"tokenizer_class" "PreTrainedTokenizerFast"  "model_max_length" c.block-size
                      "clean_up_tokenization_spaces" False
                      #** (if ends (dict :bos-token "<|endoftext|>" :eos-token "<|endoftext|>") {})}
                     :indent 2)
         "config.json" (json.dumps (huggingface-config c end) :indent 2)})
   #* notes
   #* (if c.bias [] ["GPT-2 has biases everywhere: here they are 0"])])


;;; In

(defn read-json [path]
  "-> dict: a JSON file."
  (parse-object path (read-bytes path :most MOST-JSON) "JSON"))

(defn gpt2-config [values path]
  "The config.json of a GPT-2 -> GPTConfig; RequestError names what makes it another model."
  (setv inner   (.get values "n_inner")
        width   (.get values "n_embd")
        dropout (.get values "resid_pdrop" 0.1)
        bend    (.get values "activation_function" "gelu_new"))
  (for [[name value] (.items FIXED)]
    (setv given (.get values name value))
    (when (!= given value)
      (refuse path f"has {name} {(short given)}, and only {(json.dumps value)} is known here"
              ANOTHER)))
  (unless (and (isinstance bend str) (in bend ACTIVATIONS))
    (refuse path f"has the activation {(short bend)}, and only {(.join ", " ACTIVATIONS)} are known"
            ANOTHER))
  (unless (or (is inner None) (and (of-kind width int) (= inner (* 4 width))))
    (refuse path f"has n_inner {(short inner)}, and only four times n_embd is known here"
            ANOTHER))
  (setv values (| {"block_size" (.get values "n_positions" (.get values "n_ctx"))} values))
  (foreign-config {#** (dfor  name SIZES  :if (in name values)  name (get values name))
                   "activation" (get ACTIVATIONS bend)
                   "dropout"    (if (and (of-kind dropout float) (<= 0 dropout 0.9)) dropout 0.0)
                   "bias"       True}
                  path))

(defn weight-files [folder]
  "-> {file: names}: the .safetensors files of FOLDER, and which tensors come from each."
  (setv single (/ folder "model.safetensors")
        index  (/ folder "model.safetensors.index.json"))
  (cond
    (.is-file single) {single (list (header single))}
    (.is-file index)  (shards folder (.get (read-json index) "weight_map") index)
    True (refuse folder "has no model.safetensors and no model.safetensors.index.json"
                 "save the model again with transformers' save_pretrained")))

(defn shards [folder places index]
  "{tensor: file name} -> {file: names}; a name that leads out of FOLDER is refused."
  (unless (and (isinstance places dict) places)
    (refuse index "has no weight_map" ANOTHER))
  (setv files {})
  (for [[name file] (.items places)]
    (unless (and (isinstance file str) (re.fullmatch r"\w[\w.-]*\.safetensors" file))
      (refuse index f"names the file {(short file)}, which is not in its folder" ANOTHER))
    (.append (.setdefault files (/ folder file) []) name))
  (for [[file names] (.items files)]
    (setv missing (- (set names) (set (header file))))
    (when missing
      (refuse file f"lacks {(short (min missing))}, which {index.name} says it has"
              ANOTHER)))
  files)

(defn our-name [name]
  "Hugging Face's name of a tensor -> ours, None for what is no weight (the causal masks)."
  (cond
    (.endswith name #(".attn.bias" ".attn.masked_bias")) None
    (.startswith name #("transformer." "lm_head.")) name
    True f"transformer.{name}"))

(defn huggingface-shapes [files]
  "{file: names} -> {our name: #(file, their name, their shape)}, nothing being loaded."
  (setv out {})
  (for [[file names] (.items files)]
    (setv entries (header file))
    (for [name names]
      (setv ours (our-name name))
      (when (in ours out)
        (refuse file f"has {(short name)} a second time" ANOTHER))
      (when ours
        (setv (get out ours) #(file name (get entries name 1))))))
  out)

(defn load-huggingface [found]
  "{our name: #(file, their name, …)} -> {our name: tensor}, blocks' matrices turned back."
  (setv out {})
  (for [file (sorted (sfor  [file #* _] (.values found)  file))]
    (try
      (with [opened (safe-open file "pt")]
        (for [[ours [home theirs _]] (.items found)  :if (= home file)]
          (setv t (plain theirs (.get-tensor opened theirs) file)
                (get out ours) (if (.endswith ours CONV1D) (.contiguous t.mT) t))))
      (except [e SafetensorError]         ; the library's second opinion
        (refuse file f"cannot be read ({(short (str e))})"))))
  out)

(defn unbiased [tensors c values]
  "-> tensors, config: without biases again, where our own export says so and all are 0."
  (setv ours   (.get values "nanogpt_hy")
        biases (dfor  [name t] (.items tensors)  :if (.endswith name ".bias")  name t))
  (if (and (isinstance ours dict) (is (.get ours "bias") False)
           (not (any (gfor  t (.values biases)  (.any t)))))
    [(dfor  [name t] (.items tensors)  :if (not-in name biases)  name t) (replace c :bias False)]
    [tensors c]))

(defn import-huggingface [folder out tokenizer]
  "The GPT-2 in FOLDER -> the Path of a checkpoint of ours."
  (setv values (read-json (/ folder "config.json"))
        c      (gpt2-config values (/ folder "config.json"))
        found  (huggingface-shapes (weight-files folder))
        shapes (dfor  [name [_ _ shape]] (.items found)
                      name (if (.endswith name CONV1D) (tuple (reversed shape)) shape)))
  (when (and (is (.get values "tie_word_embeddings") False) (not-in "lm_head.weight" shapes))
    (refuse folder "has no lm_head.weight, and says that wte is not its lm-head" ANOTHER))
  ;; The lm-head is looked at once it is loaded: tied or not, it has the shape of wte.
  (.setdefault shapes "lm_head.weight" (.get shapes "transformer.wte.weight" []))
  (check-fit shapes (replace c :tied (not-in "lm_head.bias" shapes)) folder)
  (setv [tensors c] (complete #* (unbiased (load-huggingface found) c values) folder))
  (save-import out tensors c (or tokenizer (read-tokenizer folder)) folder))
