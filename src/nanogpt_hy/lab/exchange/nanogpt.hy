"nanoGPT's ckpt.pt, out and in (https://github.com/karpathy/nanoGPT, model.py, train.py, sample.py).

torch.load gets weights_only, which runs nothing. The meta.pkl that says what its tokens are is read
by an unpickler that knows dicts, whole numbers and text and nothing else."

(eval-when-compile
  (require hyrule [unless]))
(import  dataclasses [asdict]
         io [BytesIO]
         os
         pathlib [Path]
         pickle
         pickletools
         re
         zipfile
         torch
         nanogpt-hy.config [finite of-kind]
         nanogpt-hy.fast [FastGPT]
         nanogpt-hy.lab.data.tokenizers [read-tokenizer tokenizer-from tokenizer-json]
         nanogpt-hy.lab.exchange.foreign [ANOTHER check-fit check-plain complete foreign-config
                                          plain save-import SIZES write-files]
         nanogpt-hy.lab.exchange.plain-gpt2 [plain-gpt2]
         nanogpt-hy.lab.files [is-special read-bytes short]
         nanogpt-hy.lab.strangers [refuse]
         nanogpt-hy.lab.training.adamw [parameter-groups])

(setv MOST-PICKLE 20,000,000)      ; bytes

;;; Out

(defn words-of [tokenizer]
  "A tokenizer of characters -> the bytes of nanoGPT's meta.pkl."
  (setv chars tokenizer.chars)
  (pickle.dumps {"vocab_size" (len chars)
                 "itos" (dict (enumerate chars))
                 "stoi" (dfor  [id char] (enumerate chars)  char id)}
                :protocol 4))

(defn fresh-optimizer [c]
  "-> the state of nanoGPT's AdamW before a step: its train.py does not resume without one."
  (with [_ (torch.device "meta")]
    (setv groups (parameter-groups (FastGPT c) 0.1)))
  (.state-dict (torch.optim.AdamW groups :lr 1e-3 :betas [0.9 0.99])))

(defn torch-bytes [value]
  "-> bytes: VALUE, of plain dicts, numbers and tensors, as torch.save writes it."
  (setv file (BytesIO))
  (torch.save value file)
  (.getvalue file))

(defn export-nanogpt [trained out]
  "Write ckpt.pt, and meta.pkl or tokenizer.json, into the folder OUT; -> notes."
  (setv [tensors c notes] (plain-gpt2 trained))
  (unless (and c.tied (= c.activation "gelu"))
    (refuse trained.path "is no model that nanoGPT can be: that has gelu and a tied lm-head"
            "export it --to huggingface"))
  (setv best  (.get (get trained.meta "losses") "best")
        chars (= (get (.state trained.tokenizer) "kind") "char")
        args  (dfor  [name value] (.items (asdict c))
                     :if (in name [#* SIZES "dropout" "bias"])
                     name value))
  (setv ckpt {"model"         (dfor  [name t] (.items tensors)  name (.clone t))
              "optimizer"     (fresh-optimizer c)
              "model_args"    args
              "iter_num"      (get trained.meta "step")
              "best_val_loss" (if (is best None) 1e9 best)
              ;; sample.py looks for data/DATASET/meta.pkl: ours, if OUT is in nanoGPT's folder.
              "config"        {"dataset" f"../{(. (Path out) name)}"}})
  [#* (write-files out {"ckpt.pt" (torch-bytes ckpt)
                        #** (if chars
                              {"meta.pkl" (words-of trained.tokenizer)}
                              {"tokenizer.json" (tokenizer-json trained.tokenizer)})})
   #* notes
   "the optimizer starts anew where nanoGPT goes on training"
   #* (if chars
        ["nanoGPT's sample.py finds its meta.pkl if the folder lies in nanoGPT's own"]
        ["nanoGPT's sample.py knows characters and GPT-2's own pieces only"])])


;;; In

(setv HARMLESS #{"PROTO" "FRAME" "STOP" "MARK" "MEMOIZE" "BINPUT" "LONG_BINPUT" "BINGET"
                 "LONG_BINGET" "EMPTY_DICT" "SETITEM" "SETITEMS" "SHORT_BINUNICODE" "BINUNICODE"
                 "BININT" "BININT1" "BININT2"})

(defclass PlainUnpickler [pickle.Unpickler]
  "Reads dicts, numbers and text; it finds no class and no function, so it can run nothing."
  (defn find-class [self module name]
    (raise (pickle.UnpicklingError "there is more in it than plain data"))))

(defn plain-pickle [data source]
  "bytes -> a value of dicts, whole numbers and text; RequestError where there is anything else."
  (try
    (setv most 0)
    (for [[code argument _] (pickletools.genops data)]
      (setv most (+ most 1))
      ;; Beside what could run, a place in its memory far behind the last one would fill ours.
      (when (or (not-in code.name HARMLESS)
                (and (= code.name "LONG_BINPUT") (> argument most)))
        (raise (ValueError f"it holds {code.name}"))))
    (.load (PlainUnpickler (BytesIO data)))
    (except [e Exception]
      (refuse source f"is no pickle of plain dicts ({(short (str e))}), and nothing else is read"
              "give the text with --text instead"))))

(defn read-words [path]
  "The characters in nanoGPT's meta.pkl."
  (setv words (plain-pickle (read-bytes path :most MOST-PICKLE) path)
        stoi  (when (isinstance words dict) (.get words "stoi")))
  (unless (and (isinstance stoi dict) (= (list (.values stoi)) (list (range (len stoi)))))
    (refuse path "holds no stoi that counts its characters" "give the text with --text instead"))
  (tokenizer-from {"kind" "char"  "chars" (list stoi)} :source path))

(defn check-zip [path]
  "-> int: the bytes of the file PATH; RequestError if what its parts hold is more than that."
  (when (is-special path)
    (refuse path "is neither file nor folder" ANOTHER))
  (try
    (setv size (os.path.getsize path))
    (with [file (zipfile.ZipFile path)]
      (setv parts (.infolist file)))
    (except [e [OSError zipfile.BadZipFile ValueError NotImplementedError]]
      (refuse path f"is no ckpt.pt as torch writes it ({(short (str e))})" ANOTHER)))
  (when (or (any (gfor  p parts  p.compress-type)) (> (sum (gfor  p parts  p.file-size)) size))
    (refuse path "has compressed or overlapping parts, which torch never writes" ANOTHER))
  size)

(defn load-torch [path]
  "-> [dict, int]: the ckpt.pt at PATH, read without running anything in it, and how many bytes the
  file has."
  (setv size (check-zip path))
  (try
    (setv ckpt (torch.load path :weights-only True :map-location "cpu" :mmap True))
    (except [e Exception]
      (setv why (get (.splitlines (or (str e) "?")) 0))
      (refuse path f"cannot be read as plain tensors ({(short why)})"
              "save its state again as tensors, numbers and dicts")))
  (unless (and (isinstance ckpt dict)
               (isinstance (.get ckpt "model") dict)
               (isinstance (.get ckpt "model_args") dict))
    (refuse path "is no checkpoint of nanoGPT (no model and model_args)" ANOTHER))
  [ckpt size])

(defn nanogpt-tensors [tensors size path]
  "What of a ckpt.pt are weights, by their names here; their numbers have to fit the file's SIZE."
  (setv out {}  total 0)
  (for [[name t] (.items tensors)]
    (check-plain name t path)
    (setv name  (.removeprefix name "_orig_mod.")
          total (+ total (* (.numel t) (.element-size t))))
    (unless (.endswith name #(".attn.bias" ".attn.masked_bias"))     ; the causal mask
      (when (in name out)
        (refuse path f"has {(short name)} twice" ANOTHER))
      (setv (get out name) t)))
  (when (> total (* 2 size))                       ; tied ones count twice
    (refuse path f"claims {total} bytes of weights in a file of {size}" ANOTHER))
  out)

(defn nanogpt-words [ckpt path]
  "The tokenizer beside a ckpt.pt, or in nanoGPT's data folder for the dataset that it names."
  (setv settings (.get ckpt "config")
        dataset  (if (isinstance settings dict) (.get settings "dataset") None)
        named    (and (isinstance dataset str) (re.fullmatch r"\w[\w.-]*" dataset))
        places   [(/ path.parent "meta.pkl")
                  (/ path.parent "tokenizer.json")
                  #* (if named [(/ path.parent ".." "data" dataset "meta.pkl")] [])])
  (for [place places]
    (when (.exists place)
      (return (if (= place.suffix ".pkl") (read-words place) (read-tokenizer place)))))
  (refuse path "has no meta.pkl beside it that says what its tokens are"
          (+ "give the text it was trained on with --text, or with --tokenizer a meta.pkl or a "
             "folder with GPT-2's tokenizer.json")))

(defn plain-number [value kind]
  "VALUE, or the one in a tensor, if it is a finite number of that KIND, from 0; else None."
  (when (and (isinstance value torch.Tensor) (= (.numel value) 1))
    (setv value (.item value)))
  (when (and (of-kind value kind) (finite value) (<= 0 value 1e15))
    (kind value)))

(defn import-nanogpt [path out tokenizer]
  "nanoGPT's ckpt.pt at PATH -> the Path of a checkpoint of ours."
  (setv [ckpt size] (load-torch path)
        tensors (nanogpt-tensors (get ckpt "model") size path)
        tensors (dfor  [name t] (.items tensors)  name (plain name t path))
        args    (get ckpt "model_args")
        biased  (any (gfor  name tensors  (.endswith name ".bias")))
        c       (foreign-config (| {"bias" biased} args {"activation" "gelu"}) path)
        [tensors c] (complete tensors c path))
  (check-fit (dfor  [name t] (.items tensors)  name (tuple t.shape)) c path)
  (save-import out tensors c
               (or tokenizer (nanogpt-words ckpt path)) path
               :step (or (plain-number (.get ckpt "iter_num") int) 0)
               :loss (plain-number (.get ckpt "best_val_loss") float)))
